"""A candidate's pod as the API server shows it now: may it be evicted, how would it leave, does it exist?

The agent's list is not enough: it may be old, and a node may only name pods that run on it.
"""

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from overbook.core.api.group import NAMESPACE, node_namespace
from overbook.core.api.overcommit_node import How
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import is_critical
from overbook.core.kubevirt.vm import owning_instance
from overbook.core.pressure.candidate import why_never
from overbook.core.timestamp import from_timestamp

if TYPE_CHECKING:  # the agent needs only `is_own`, and should not load KubeVirt's objects
    from overbook.core.kubevirt.objects import MovableInstance

PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
PART_OF: Final = "overbook"

Presence = Literal["Here", "Leaving", "Gone"]
"""``Leaving``: the pod was deleted and has not ended yet."""


class CandidatePod(msgspec.Struct, frozen=True, gc=False):
    """A pod that may be evicted or was evicted, as it was fetched.

    Attributes:
        presence: whether the pod exists; see :data:`Presence`.
        seen_at: when it was fetched, in seconds since the epoch.
        obstacle: why it must not be evicted; empty if it may be.
        how: how it would leave after an eviction.
        is_vm: whether a VirtualMachineInstance owns it by its metadata.
        instance: ``namespace/name`` of the VirtualMachineInstance in it; empty: none.
        instance_node: the node on which that instance runs now; empty: not known.
        evacuating: whether KubeVirt has been requested to move that instance.
        leaves_at: the end of its grace period, if it is leaving.
    """

    presence: Presence
    seen_at: float
    obstacle: str = ""
    how: How = "Evicted"
    is_vm: bool = False
    instance: str = ""
    instance_node: str = ""
    evacuating: bool = False
    leaves_at: float | None = None


class ClusterDefaults(msgspec.Struct, frozen=True, gc=False):
    """Settings that apply to all pods of the cluster.

    Attributes:
        namespace: the namespace of controller and webhook.
        eviction_strategy: the eviction strategy of VMs without their own.
    """

    namespace: str = NAMESPACE
    eviction_strategy: str = "None"


def is_own(pod: Pod, namespace: str) -> bool:
    """Whether a pod is Overbook's: by its label, and by its namespace, where users make no pods.

    Args:
        pod: any pod.
        namespace: the namespace of controller and webhook.
    """
    labels = pod.metadata.labels or {}
    ours = (namespace, node_namespace(namespace))
    return pod.metadata.namespace in ours and labels.get(PART_OF_LABEL) == PART_OF


def candidate_pod(
    node: str,
    uid: str,
    pod: Pod | None,
    instance: "MovableInstance | None",
    defaults: ClusterDefaults,
    now: float,
) -> CandidatePod:
    """Combine what was fetched of a pod.

    Args:
        node: the node that requests relief.
        uid: the UID of the pod that is meant.
        pod: the pod as fetched by its name; ``None``: there is none.
        instance: the VirtualMachineInstance that owns it, as fetched; ``None``: there is none.
        defaults: settings that apply to all pods.
        now: when it was fetched, in seconds since the epoch.
    """
    owner_vm = instance if pod is not None and _runs_in(instance, pod) else None
    about: dict[str, str | bool] = {}
    if owner_vm is not None:
        about = {
            "instance": f"{owner_vm.metadata.namespace or 'default'}/{owner_vm.metadata.name}",
            "instance_node": owner_vm.status.node_name or "",
            "evacuating": bool(owner_vm.status.evacuation_node_name),
        }
    if pod is None or pod.metadata.uid != uid or pod.has_ended:
        return msgspec.structs.replace(CandidatePod("Gone", now), **about)
    migrates = owner_vm is not None and owner_vm.would_migrate(defaults.eviction_strategy)
    how: How = "Migrated" if migrates else "Restarted" if owner_vm is not None else "Evicted"
    leaves = pod.metadata.deletion_timestamp
    known = CandidatePod(
        presence="Leaving" if leaves else "Here",
        seen_at=now,
        obstacle=obstacle(pod, node, defaults),
        how=how,
        is_vm=bool(instance_name(pod)),
        leaves_at=from_timestamp(leaves),
    )
    return msgspec.structs.replace(known, **about)


def obstacle(pod: Pod, node: str, defaults: ClusterDefaults) -> str:
    """Return why a pod must not be evicted; empty if it may be."""
    if never := why_never(critical=is_critical(pod), own=is_own(pod, defaults.namespace)):
        return never
    if pod.spec.node_name != node:
        return f"runs on {pod.spec.node_name or 'no node yet'}, not on {node}"
    return ""


def instance_name(pod: Pod) -> str:
    """The name of the VirtualMachineInstance that owns the pod by its metadata; empty: none."""
    owner = owning_instance(pod)
    return owner.name if owner is not None else ""


def _runs_in(instance: "MovableInstance | None", pod: Pod) -> bool:
    owner = owning_instance(pod)
    return (
        instance is not None
        and owner is not None
        and owner.uid == instance.metadata.uid
        and instance.owns(pod.metadata.uid or "")
    )
