"""The pods of VMs as a KubeVirt control plane makes them and the API server stores them."""

from collections.abc import Iterable
from typing import Any

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint, constraints
from overbook.core.kubernetes.limit_range import LimitRange, with_defaults
from overbook.core.kubernetes.pod import Container, Pod, ResourceList, convert
from overbook.core.kubernetes.priority import PriorityClass, priorities, with_priority
from overbook.core.kubernetes.quantity import Quantity, from_raw
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resource_quota import ResourceQuota, quota_refusal
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubevirt.definitions import VirtualMachine, decode_definition, defines_vm
from overbook.core.kubevirt.made import CATALOG_KINDS, Catalog, made_vm
from overbook.core.kubevirt.overhead import MAIN
from overbook.core.kubevirt.settings import in_namespace, settings_of_hyperconverged, settings_of_kubevirt

OF_2026_08_22 = msgspec.structs.replace(MAIN, divides_hugepages=True)
"""The commit that answered the questions: after v1.9, and still without the change for large pages."""


def answer_kubevirt_pods(question: dict[str, Any]) -> dict[str, Any]:
    """The pod of the first VM of a question, or ``None`` where none is made or it is refused."""
    asked = question["input"]
    namespace = asked.get("namespace") or {}
    objects = [*(namespace.get("objects") or ()), *asked["objects"]]
    document = {
        "metadata": {"annotations": asked["kubevirt"].get("annotations")},
        "spec": {"configuration": asked["kubevirt"].get("configuration")},
    }
    settings = settings_of_kubevirt(document, "KubeVirt")
    for one in objects:
        if one["kind"] == "KubeVirt":
            settings = settings_of_kubevirt(one, "KubeVirt")
        elif one["kind"] == "HyperConverged":
            settings = settings_of_hyperconverged(one, "HyperConverged")
    quotas = _of_kind(objects, "ResourceQuota", ResourceQuota)
    limited = {name for quota in quotas for name in quota.resources}
    policy = in_namespace(settings, namespace.get("labels"), limited)
    catalog = Catalog()
    for one in objects:
        if one["kind"] in CATALOG_KINDS:
            catalog.add(one)
    submitted = next(one for one in objects if defines_vm(one["kind"], one["apiVersion"]))
    definition, replicas = decode_definition(submitted, submitted["kind"])
    if isinstance(definition, VirtualMachine) and (definition.refusal or definition.stopped_because):
        return {"pod": None}
    try:
        made = made_vm(definition, policy, catalog, OF_2026_08_22)
    except InvalidInput:
        return {"pod": None}
    if made.refusal or made.missing or not replicas:
        return {"pod": None}
    known = priorities(_of_kind(objects, "PriorityClass", PriorityClass))
    pod = with_priority(made.pod, known)
    if pod.spec.priority is None:
        return {"pod": None}
    ranges = _of_kind(objects, "LimitRange", LimitRange)
    return {"pod": _stored(pod, ranges, quotas)}


def _stored(pod: Pod, ranges: Iterable[LimitRange], quotas: Iterable[ResourceQuota]) -> dict[str, Any] | None:
    admitted = with_defaults(pod, ranges)
    resolved = resolve(admitted)
    if complaint(resolved, resolved.level, constraints(ranges)) or quota_refusal(resolved, quotas):
        return None
    return {
        "qosClass": resolved.qos_class,
        "priority": pod.spec.priority,
        "containers": [_container(one) for one in admitted.containers],
        "initContainers": [_container(one) for one in admitted.init_containers],
    }


def _container(container: Container) -> dict[str, Any]:
    resources = container.resources
    limits = _texts(resources.limits if resources else None)
    requests = _texts(resources.requests if resources else None)
    return {"name": container.name, "requests": limits | requests, "limits": limits}


def _texts(listed: ResourceList | None) -> dict[str, str]:
    return {name: _canonical((listed or {})[name]) for name in (CPU, MEMORY) if name in (listed or {})}


def _canonical(raw: Any) -> str:
    quantity = from_raw(raw)
    if quantity.scale < -3:
        quantity = Quantity(quantity.scaled(-3), -3, quantity.format)
    return quantity.canonical()


def _of_kind(objects: Iterable[dict[str, Any]], kind: str, into: type[Any]) -> list[Any]:
    return [convert(one, into, kind) for one in objects if one["kind"] == kind]
