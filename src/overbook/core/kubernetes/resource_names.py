"""What the API server says about the resources of a pod beyond CPU and memory: refusals and warnings.

Sources: ``ValidateResourceRequirements`` and ``validateContainerResourceName`` in
``pkg/apis/core/validation/validation.go``, ``pkg/api/pod/warnings.go``, at v1.36.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod, ResourceList, ResourceRequirements
from overbook.core.kubernetes.pod_level import HUGEPAGES_PREFIX, is_pod_level_resource
from overbook.core.kubernetes.quantity import Quantity, RawQuantity, from_raw
from overbook.core.kubernetes.resources import CPU, MEMORY

EPHEMERAL_STORAGE: Final = "ephemeral-storage"
_STANDARD: Final = frozenset({CPU, MEMORY, EPHEMERAL_STORAGE})
_IN_BYTES: Final = (MEMORY, EPHEMERAL_STORAGE)
_NAME_PART: Final = re.compile(r"(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
_DOMAIN: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LONGEST_DOMAIN: Final = 253
_NOTHING: Final[ResourceList] = {}


def resource_complaints(pod: Pod) -> Iterator[str]:
    """Why the API server would refuse the pod's resources, CPU and memory not considered.

    Raises:
        InvalidInput: a quantity cannot be read.
    """
    for container in pod.all_containers():
        if container.resources is not None:
            yield from _complaints(container.resources, container.name)
    level = pod.spec.resources
    if level is not None:
        for name in {**(level.limits or {}), **(level.requests or {})}:
            if not is_pod_level_resource(name):
                yield f"pod: {name} cannot be in spec.resources: only cpu, memory and hugepages-SIZE"
        yield from _complaints(level, "pod", names=False)


def resource_warnings(pod: Pod) -> Iterator[str]:
    """The API server's warnings about fractions of a byte, as ``kubectl`` shows them.

    Raises:
        InvalidInput: a quantity cannot be read.
    """
    for place, containers in (("containers", pod.containers), ("initContainers", pod.init_containers)):
        for index, container in enumerate(containers):
            written = container.resources
            if written is None:
                continue
            for part, listed in (("limits", written.limits), ("requests", written.requests)):
                yield from _fractions(listed, f"spec.{place}[{index}].resources.{part}")
    yield from _fractions(pod.spec.overhead, "spec.overhead")


def _fractions(listed: ResourceList | None, where: str) -> Iterator[str]:
    for name in _IN_BYTES:
        if listed and name in listed:
            quantity = from_raw(listed[name])
            if not _whole(quantity):
                text = quantity.canonical()
                yield f"{where}[{name}]: fractional byte value {text!r} is invalid, must be an integer"


def _complaints(written: ResourceRequirements, where: str, *, names: bool = True) -> Iterator[str]:
    limits, requests = written.limits or _NOTHING, written.requests or _NOTHING
    for part, listed in (("limit", limits), ("request", requests)):
        for name, raw in listed.items():
            if name in (CPU, MEMORY):
                continue
            complaint = (_name_complaint(name) if names else "") or _value_complaint(name, raw)
            if complaint:
                yield f"{where}: {part} {name}: {complaint}"
    for name, raw in requests.items():
        if name in (CPU, MEMORY):
            continue
        yield from _pair_complaint(where, name, raw, limits)
    given = {*limits, *requests}
    if names and any(name.startswith(HUGEPAGES_PREFIX) for name in given) and not {CPU, MEMORY} & given:
        yield f"{where}: huge pages need a request or limit of CPU or memory beside them"


def _pair_complaint(where: str, name: str, raw: RawQuantity, limits: ResourceList) -> Iterator[str]:
    """A request that does not fit its limit. Only native resources may be overcommitted, but huge pages."""
    overcommitted = _is_native(name) and not name.startswith(HUGEPAGES_PREFIX)
    if name not in limits:
        if not overcommitted:
            yield f"{where}: request {name}: a limit must be set, as it cannot be overcommitted"
        return
    try:
        request, limit = from_raw(raw), from_raw(limits[name])
    except InvalidInput:
        return
    if not overcommitted and request.scaled(-9) != limit.scaled(-9):
        yield f"{where}: request {name} {request.canonical()} must equal its limit {limit.canonical()}"
    elif request.scaled(-9) > limit.scaled(-9):
        yield f"{where}: request {name} {request.canonical()} above its limit {limit.canonical()}"


def _name_complaint(name: str) -> str:
    domain, slash, part = name.rpartition("/")
    if not slash:
        if name in _STANDARD or name.startswith(HUGEPAGES_PREFIX):
            return ""
        return (
            f"must be a standard resource for containers{_hint(name)}, or fully qualified (example.com/name)"
        )
    if not _NAME_PART.fullmatch(part) or len(domain) > _LONGEST_DOMAIN or not _DOMAIN.fullmatch(domain):
        return "no qualified name (example.com/name)"
    if not _is_native(name) and name.startswith("requests."):
        return "an extended resource cannot begin with 'requests.'"
    return ""


def _hint(name: str) -> str:
    known: dict[str, Literal["cpu", "memory"]] = {
        "mem": "memory",
        "ram": "memory",
        "cores": "cpu",
        "cpus": "cpu",
    }
    lowered = name.lower()
    meant = lowered if lowered in _STANDARD else known.get(lowered)
    return f" (did you mean {meant}?)" if meant else ""


def _value_complaint(name: str, raw: RawQuantity) -> str:
    try:
        quantity = from_raw(raw)
    except InvalidInput as error:
        return str(error)
    if quantity.sign < 0:
        return f"{quantity.canonical()} must be 0 or more"
    if name.startswith(HUGEPAGES_PREFIX):
        try:
            size = from_raw(name.removeprefix(HUGEPAGES_PREFIX)).value()
        except InvalidInput:
            size = 0
        if size <= 0:
            return "the name must end in a page size, such as hugepages-2Mi"
        if not _whole(quantity) or quantity.value() % size:
            return f"{quantity.canonical()} must be a multiple of the page size"
    elif name not in _STANDARD and not _is_native(name) and not _whole(quantity):
        return f"{quantity.canonical()} must be a whole number"
    return ""


def _is_native(name: str) -> bool:
    """Whether the name is one of Kubernetes' own, which may be overcommitted."""
    return "/" not in name or "kubernetes.io/" in name


def _whole(quantity: Quantity) -> bool:
    return quantity.scaled(-3) % 1000 == 0
