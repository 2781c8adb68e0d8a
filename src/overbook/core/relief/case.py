"""What the rules of relief look at, and what they may answer."""

from collections.abc import Mapping

import msgspec

from overbook.core.api.overcommit import ReliefSpec
from overbook.core.api.overcommit_node import ReliefRecord, ReliefRequest
from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.guest import Guest


class NodeCase(msgspec.Struct, frozen=True, kw_only=True):
    """One node that asks, or for which something was begun.

    Attributes:
        name: the node's.
        request: what its agent asks for; ``None``: nothing (any more).
        critical: whether its pressure is ``Critical``.
        stale: whether its agent has stopped reporting.
        observes: whether its agent only observes: it wants to know, not to act.
        record: what was written down last, as it stands at the API server.
        guests: pods that were looked at lately, by UID.
        answer: of the API server to the asking that ``record`` describes; ``None``: none yet, or it is lost.
    """

    name: str
    request: ReliefRequest | None = None
    critical: bool = False
    stale: bool = False
    observes: bool = False
    record: ReliefRecord = ReliefRecord()
    guests: Mapping[str, Guest] = msgspec.field(default_factory=dict)
    answer: EvictionAnswer | None = None


class MigrationLimits(msgspec.Struct, frozen=True, gc=False):
    """KubeVirt's own."""

    per_cluster: int = 5
    per_node: int = 2


class ClusterCase(msgspec.Struct, frozen=True, kw_only=True):
    """What applies to all nodes.

    Attributes:
        spec: budgets.
        held_back: why nothing is started now; empty: something may be.
        migrations: all live migrations that are known, whoever began them.
        limits: KubeVirt's; ``None``: there is no KubeVirt, and nothing is migrated.
        destinations: nodes that could take a guest: ready, schedulable and not in trouble themselves.
    """

    spec: ReliefSpec = ReliefSpec()
    held_back: str = ""
    migrations: tuple[Migration, ...] = ()
    limits: MigrationLimits | None = None
    destinations: frozenset[str] = frozenset()


class Rest(msgspec.Struct, frozen=True, gc=False):
    """Nothing is to be done until something changes, or until then at the latest."""

    until: float | None = None


class Look(msgspec.Struct, frozen=True, gc=False):
    """Fetch a pod (and the VM that owns it) before anything is decided about it."""

    uid: str
    label: str


class Write(msgspec.Struct, frozen=True, gc=False):
    """Write the record down. Nothing else is done for this node before it is."""

    record: ReliefRecord


class Evict(msgspec.Struct, frozen=True, gc=False):
    """Ask the record's victim to go. The record says so already."""

    uid: str
    label: str


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete the record's victim: the last resort. The record says so already."""

    uid: str
    label: str


Step = Rest | Look | Write | Evict | Delete
