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
from overbook.core.relief.wishes import agrees, goes_last, in_progress
from overbook.core.timestamp import from_timestamp

if TYPE_CHECKING:  # the agent needs only `is_own`, and should not load KubeVirt's objects
    from overbook.core.kubevirt.objects import MovableInstance

PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
PART_OF: Final = "overbook"
_READINESS: Final = frozenset({"Ready", "ContainersReady"})

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
        evacuating: whether KubeVirt has been requested to move that instance away from this node.
        in_progress: whether its annotations say that it is being evicted already.
        migration_uid: UID of the last live migration that the instance names.
        migration_failure: why that migration failed; empty: it did not.
        leaves_at: the end of its grace period, if it is leaving.
        ended_at: when its containers ended, if the object is still there; empty after an end: not known.
        goes_last: whether its owner wishes that others are evicted first.
        agrees: whether its owner agrees to an eviction.
    """

    presence: Presence
    seen_at: float
    obstacle: str = ""
    how: How = "Evicted"
    is_vm: bool = False
    instance: str = ""
    instance_node: str = ""
    evacuating: bool = False
    in_progress: bool = False
    migration_uid: str = ""
    migration_failure: str = ""
    leaves_at: float | None = None
    ended_at: float | None = None
    goes_last: bool = False
    agrees: bool = False

    @property
    def leaves_already(self) -> bool:
        """Whether others requested its eviction, which goes on in the background."""
        return self.evacuating or self.in_progress


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
    about: dict[str, str | bool | float | None] = {}
    if owner_vm is not None:
        moving = owner_vm.migration_state
        about = {
            "instance": f"{owner_vm.metadata.namespace or 'default'}/{owner_vm.metadata.name}",
            "instance_node": owner_vm.status.node_name or "",
            "evacuating": owner_vm.status.evacuation_node_name == node,
            "migration_uid": moving.migration_uid or "",
            "migration_failure": moving.failure_reason or "",
        }
    if pod is None or pod.metadata.uid != uid or pod.has_ended:
        if pod is not None and pod.metadata.uid == uid:
            about["ended_at"] = _ended_at(pod)
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
        in_progress=in_progress(pod),
        goes_last=goes_last(pod),
        agrees=agrees(pod),
    )
    return msgspec.structs.replace(known, **about)


def _ended_at(pod: Pod) -> float | None:
    """Return when a pod's containers ended, by its conditions."""
    conditions = (pod.status and pod.status.conditions) or ()
    moments = (
        from_timestamp(known.last_transition_time)
        for known in conditions
        if known.type in _READINESS and known.status == "False"
    )
    return max((moment for moment in moments if moment is not None), default=None)


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
        # The source pod of a live migration stays after its end, and the VM does not list it any more.
        and (pod.has_ended or instance.owns(pod.metadata.uid or ""))
    )
