"""Which pending migration may start: KubeVirt's limits and priorities.

Only migrations that have a target pod take a place. Pending ones wait, those of the higher priority first.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from overbook_sandbox.kubevirt.documents import EVACUATION_ANNOTATION, KubeVirtDocument
from overbook_sandbox.kubevirt.store import instance_key

_PARALLEL_PER_CLUSTER: Final = 5
_PARALLEL_OUTBOUND_PER_NODE: Final = 2
_PRIORITIES: Final = ("system-critical", "user-triggered", "system-maintenance")
_MOST_KEPT: Final = 5
"""Finished migrations of a VM that are kept, so the longest pause is 20 s × 2⁴."""


def limits(configuration: dict[str, Any]) -> tuple[int, int]:
    """The limits on migrations: in the cluster, and out of one node."""
    given = configuration.get("migrations", {})
    return (
        given.get("parallelMigrationsPerCluster", _PARALLEL_PER_CLUSTER),
        given.get("parallelOutboundMigrationsPerNode", _PARALLEL_OUTBOUND_PER_NODE),
    )


def starts_at(migration: KubeVirtDocument, known: Iterable[KubeVirtDocument], retry_seconds: float) -> float:
    """When a migration may start after the failures before it, in seconds since the epoch; 0: at once.

    Args:
        migration: The pending migration, which an eviction caused.
        known: All migrations that exist.
        retry_seconds: The pause after the first failure; it doubles with each.
    """
    if EVACUATION_ANNOTATION not in migration.annotations:
        return 0.0
    of_it = [each for each in known if instance_key(each) == instance_key(migration)]
    failed = [_ended(each) for each in of_it if each.phase == "Failed"]
    if not failed:
        return 0.0
    return max(failed) + retry_seconds * float(2 ** (len(failed) - 1))


def surplus(known: Iterable[KubeVirtDocument], key: str) -> list[KubeVirtDocument]:
    """The finished migrations of a VM that are not kept."""
    finished = [each for each in known if instance_key(each) == key and each.is_finished]
    return sorted(finished, key=_ended)[:-_MOST_KEPT]


def may_start(
    migration: KubeVirtDocument,
    ready: Iterable[KubeVirtDocument],
    known: Iterable[KubeVirtDocument],
    bounds: tuple[int, int],
) -> bool:
    """Whether there is a place for a pending migration.

    Args:
        migration: The migration.
        ready: The pending migrations that could start by their pauses.
        known: All migrations that exist.
        bounds: The limits, as :func:`limits` returns them.
    """
    per_cluster, per_node = bounds
    running = [each for each in known if not each.is_finished and each.phase not in ("", "Pending")]
    free = per_cluster - len(running)
    outbound = Counter(_source(each) for each in running)
    for each in sorted(ready, key=_turn):
        if free <= 0:
            return False
        if outbound[_source(each)] < per_node:
            if each.uid == migration.uid:
                return True
            free -= 1
            outbound[_source(each)] += 1
    return False


def _turn(migration: KubeVirtDocument) -> tuple[int, str, str]:
    priority = migration.spec.get("priority", "user-triggered")
    order = _PRIORITIES.index(priority) if priority in _PRIORITIES else len(_PRIORITIES)
    return order, migration.metadata.creation_timestamp or "", migration.metadata.name


def _source(migration: KubeVirtDocument) -> str:
    state = migration.status.get("migrationState") or {}
    return migration.annotations.get(EVACUATION_ANNOTATION) or state.get("sourcePod") or migration.uid


def _ended(migration: KubeVirtDocument) -> float:
    transitions = migration.status.get("phaseTransitionTimestamps") or [{}]
    written = transitions[-1].get("phaseTransitionTimestamp") or migration.metadata.creation_timestamp
    return datetime.fromisoformat(written or "1970-01-01T00:00:00Z").timestamp()
