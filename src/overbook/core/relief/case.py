"""The input of a plan (nodes and cluster) and its output (steps)."""

from collections.abc import Mapping

import msgspec

from overbook.core.api.overcommit import ReliefSpec
from overbook.core.api.overcommit_node import ReliefRecord, ReliefRequest
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.candidate_pod import CandidatePod


class Uncancelled(msgspec.Struct, frozen=True, gc=False):
    """Why an evacuation may go on after the last try to cancel it.

    Attributes:
        message: what the server said.
        is_final: whether trying again is useless.
        at: when it was tried, in seconds since the epoch.
    """

    message: str
    is_final: bool = False
    at: float = 0.0


class NodeCase(msgspec.Struct, frozen=True, kw_only=True):
    """One node that requests relief, or has a relief under way.

    Attributes:
        name: the node's name.
        request: its agent's relief request; ``None``: none, or it was withdrawn.
        critical: whether its pressure is ``Critical``.
        stale: whether its agent has stopped reporting.
        observes: whether its agent runs in mode ``Observe``: its request is reported, not answered.
        record: its relief record, as it is at the API server.
        pods: the candidates that were fetched lately, by UID.
        answer: the API server's answer to the eviction that ``record`` describes; ``None``: none yet, or it
            was lost.
        uncancelled: why the victim's evacuation may go on after the last try to cancel it; ``None``: this
            leader has not tried.
    """

    name: str
    request: ReliefRequest | None = None
    critical: bool = False
    stale: bool = False
    observes: bool = False
    record: ReliefRecord = ReliefRecord()
    pods: Mapping[str, CandidatePod] = msgspec.field(default_factory=dict)
    answer: EvictionAnswer | None = None
    uncancelled: Uncancelled | None = None


class MigrationLimits(msgspec.Struct, frozen=True, gc=False):
    """KubeVirt's limits on live migrations under way."""

    per_cluster: int = 5
    per_node: int = 2


class ClusterCase(msgspec.Struct, frozen=True, kw_only=True):
    """What applies to all nodes.

    Attributes:
        spec: the budgets and times of the ``Overcommit``.
        held_back: why no relief may begin now; empty if one may.
        migrations: all live migrations that are known, also those that Overbook did not begin.
        kubevirt_known: whether it is known if KubeVirt is installed.
        limits: KubeVirt's limits; ``None``: not known, or there is no KubeVirt.
        migrations_silent_seconds: how long ago the API server last said anything about migrations; what
            became of one since then is not known. ``None``: never; 0 without KubeVirt.
        phase_seen: when this leader first saw each unfinished migration in its present phase, by
            :func:`migration_key`.
        destinations: nodes that could take a VM: ready, schedulable and not under pressure.
    """

    spec: ReliefSpec = ReliefSpec()
    held_back: str = ""
    migrations: tuple[Migration, ...] = ()
    kubevirt_known: bool = True
    limits: MigrationLimits | None = None
    migrations_silent_seconds: float | None = 0.0
    phase_seen: Mapping[str, float] = msgspec.field(default_factory=dict)
    destinations: frozenset[str] = frozenset()


def migration_key(migration: Migration) -> str:
    """The key of a migration in :attr:`ClusterCase.phase_seen`."""
    return f"{migration.metadata.namespace}/{migration.metadata.name}"


class Rest(msgspec.Struct, frozen=True, gc=False):
    """Do nothing until an object changes, or until that moment at the latest."""

    until: float | None = None


class Look(msgspec.Struct, frozen=True, gc=False):
    """Fetch a pod (and the VM that owns it) before anything is decided about it."""

    uid: str
    label: str


class Write(msgspec.Struct, frozen=True, gc=False):
    """Write the record to the API server. No other step of this node is taken before that has succeeded."""

    record: ReliefRecord


class Evict(msgspec.Struct, frozen=True, gc=False):
    """Evict the record's victim. The record names it already."""

    uid: str
    label: str


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete the record's victim as the last resort. The record names it already."""

    uid: str
    label: str


class Cancel(msgspec.Struct, frozen=True, gc=False):
    """Cancel the evacuation of a VM, then delete its migration. The record names the VM's pod already.

    Attributes:
        uid: the pod's UID.
        label: the pod, as ``namespace/name``.
        instance: the VirtualMachineInstance, as ``namespace/name``.
        node: the node that the VM was to leave.
        migration: the migration's name; empty: there is none.
        migration_uid: its UID.
    """

    uid: str
    label: str
    instance: str
    node: str
    migration: str = ""
    migration_uid: str = ""


Step = Rest | Look | Write | Evict | Delete | Cancel
