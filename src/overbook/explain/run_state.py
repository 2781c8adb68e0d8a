"""What counts: objects whose pods run or will run, and of several that stand for each other the pods."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from overbook.core.kubernetes.pod import ENDED
from overbook.core.kubevirt.vm import INSTANCE_KIND, VM_KIND, VirtualMachineInstance, owning_instance

if TYPE_CHECKING:
    from overbook.explain.inventory import Found

Identity = tuple[str, str, str]
"""Kind, namespace and name."""


def idle_because(kind: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """The state of an object without running pods, in a word, and the field that says so; empty: they run.

    Args:
        kind: the object's kind.
        manifest: the object.
    """
    spec, status = _mapping(manifest, "spec"), _mapping(manifest, "status")
    match kind:
        case _ if kind == INSTANCE_KIND:
            phase = status.get("phase")
            ended = isinstance(phase, str) and phase in ENDED
            return ("finished", f"phase {phase}") if ended else ("", "")
        case "Job":
            return _job(spec, status)
        case "CronJob":
            return ("suspended", "spec.suspend") if spec.get("suspend") is True else ("", "")
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled")
            observed = status.get("observedGeneration")
            none = wanted == 0 and isinstance(observed, int) and observed > 0
            return ("idle", "it runs on no node") if none else ("", "")
        case "DeploymentConfig" if spec.get("test") is True:
            return "idle", "spec.test: it runs during a deployment only"
    return ("idle", "0 replicas") if _is_zero(spec.get("replicas")) else ("", "")


def _job(spec: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, str]:
    conditions = status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else ():
        if isinstance(condition, dict) and condition.get("status") == "True":
            kind = condition.get("type")
            if kind in ("Complete", "Failed"):
                return "finished", f"condition {kind}"
    if status.get("completionTime"):
        return "finished", "completionTime"
    if spec.get("suspend") is True:
        return "suspended", "spec.suspend"
    if _is_zero(spec.get("parallelism")):
        return "idle", "parallelism 0"
    if _is_zero(spec.get("completions")):
        return "finished", "0 completions"
    wanted, reached = spec.get("completions"), status.get("succeeded")
    reached_all = isinstance(wanted, int) and isinstance(reached, int) and reached >= wanted
    return ("finished", f"{reached} succeeded") if reached_all else ("", "")


def _is_zero(value: object) -> bool:
    return value == 0 and not isinstance(value, bool)


def _mapping(manifest: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = manifest.get(field)
    return value if isinstance(value, dict) else {}


def without_represented(found: "list[tuple[Identity, Found]]") -> "Iterator[Found]":
    """The objects without the owners of others in the list; a VM's manifest is kept with its pod."""
    owners: set[Identity] = set()
    idle_owners: set[Identity] = set()
    instances: dict[tuple[str, str], VirtualMachineInstance] = {}
    for identity, one in found:
        # An old ReplicaSet of 0 pods says nothing about its Deployment; a finished Job is its CronJob's last,
        # and a VM that was stopped is one of its pool's.
        counts = not one.idle or one.kind in ("Job", VM_KIND)
        for reference in one.owners:
            # A pod stands beside the pod that controls it, as one that attaches volumes beside its VM's.
            if reference.controller and reference.kind != "Pod":
                (owners if counts else idle_owners).add((reference.kind, one.namespace, reference.name))
        if one.vmi is not None:
            instances[one.namespace, one.vmi.metadata.name] = one.vmi
            if one.kind == INSTANCE_KIND and not one.idle:
                owners.add(("VirtualMachine", *identity[1:]))
        instance = owning_instance(one.pod) if one.running else None
        if instance is not None:
            # A VirtualMachine and its VirtualMachineInstance have the same name.
            owners.add(("VirtualMachine", one.namespace, instance.name))
    present = {identity for identity, _ in found}
    for identity, one in found:
        owned = one.replicas == 0 and any(
            reference.controller and (reference.kind, one.namespace, reference.name) in present
            for reference in one.owners
        )
        if identity in owners or owned:
            continue
        if not one.idle and one.kind == "Service" and identity in idle_owners:
            one = msgspec.structs.replace(one, idle="idle", idle_field="scaled to 0")  # noqa: PLW2901
        instance = owning_instance(one.pod) if one.running and instances else None
        vmi = instances.get((one.namespace, instance.name)) if instance else None
        yield msgspec.structs.replace(one, vmi=vmi) if vmi else one
