"""A candidate as the API server shows it now: whether it may go, how it would go, and whether it is there.

The agent's word is not enough: its list may be old, and a node may name only what runs on it.
"""

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from overbook.core.api.overcommit_node import How
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.qos import is_critical
from overbook.core.kubevirt.vm import owning_instance
from overbook.core.pressure.candidate import why_never
from overbook.core.timestamp import from_timestamp

if TYPE_CHECKING:  # the agent asks only whether a pod is Overbook's own
    from overbook.core.kubevirt.objects import MovableInstance

PART_OF_LABEL: Final = "app.kubernetes.io/part-of"
PART_OF: Final = "overbook"

Presence = Literal["Here", "Leaving", "Gone"]
"""``Leaving``: it was deleted, and still ends."""


class Guest(msgspec.Struct, frozen=True, gc=False):
    """What is known of a pod that may be or was asked to go.

    Attributes:
        presence: see :data:`Presence`.
        seen_at: when it was looked at, in seconds since the epoch.
        obstacle: why it must not go; empty where it may.
        how: how an eviction would make it go.
        instance: ``namespace/name`` of the VirtualMachineInstance in it; empty: none.
        instance_node: the node on which that guest now runs; empty: not known.
        evacuating: whether KubeVirt was told to move the guest.
        leaves_at: by when it should have ended, if it is leaving.
    """

    presence: Presence
    seen_at: float
    obstacle: str = ""
    how: How = "Evicted"
    instance: str = ""
    instance_node: str = ""
    evacuating: bool = False
    leaves_at: float | None = None


class ClusterDefaults(msgspec.Struct, frozen=True, gc=False):
    """What applies to all guests of the cluster.

    Attributes:
        namespace: the one in which Overbook is installed.
        eviction_strategy: of VMs without their own.
    """

    namespace: str = "overbook"
    eviction_strategy: str = "None"


def is_own(pod: Pod, namespace: str) -> bool:
    """Whether a pod is Overbook's: by its label, and in the namespace where nobody else may set that."""
    labels = pod.metadata.labels or {}
    return pod.metadata.namespace == namespace and labels.get(PART_OF_LABEL) == PART_OF


def guest(
    node: str,
    uid: str,
    pod: Pod | None,
    instance: "MovableInstance | None",
    house: ClusterDefaults,
    now: float,
) -> Guest:
    """What is known of a pod.

    Args:
        node: the node that asks to be relieved of it.
        uid: of the pod that is meant.
        pod: as fetched by its name; ``None``: there is none.
        instance: the VirtualMachineInstance that owns it, as fetched; ``None``: there is none.
        house: what applies to all.
        now: when it was fetched, in seconds since the epoch.
    """
    whose = instance if pod is not None and _runs_in(instance, pod) else None
    about: dict[str, str | bool] = {}
    if whose is not None:
        about = {
            "instance": f"{whose.metadata.namespace or 'default'}/{whose.metadata.name}",
            "instance_node": whose.status.node_name or "",
            "evacuating": bool(whose.status.evacuation_node_name),
        }
    if pod is None or pod.metadata.uid != uid or pod.has_ended:
        return msgspec.structs.replace(Guest("Gone", now), **about)
    migrates = whose is not None and whose.would_migrate(house.eviction_strategy)
    how: How = "Migrated" if migrates else "Restarted" if whose is not None else "Evicted"
    leaves = pod.metadata.deletion_timestamp
    known = Guest(
        presence="Leaving" if leaves else "Here",
        seen_at=now,
        obstacle=obstacle(pod, node, house),
        how=how,
        leaves_at=from_timestamp(leaves),
    )
    return msgspec.structs.replace(known, **about)


def obstacle(pod: Pod, node: str, house: ClusterDefaults) -> str:
    """Why a pod must never be asked to go; empty where it may."""
    if never := why_never(critical=is_critical(pod), own=is_own(pod, house.namespace)):
        return never
    if pod.spec.node_name != node:
        return f"runs on {pod.spec.node_name or 'no node yet'}, not on {node}"
    return ""


def instance_name(pod: Pod) -> str:
    """The VirtualMachineInstance that says it owns the pod; empty: none."""
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
