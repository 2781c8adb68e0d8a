"""The progress of live migrations by this leader's own clock: KubeVirt's may be minutes ahead or behind."""

from collections.abc import Callable, Iterable, Mapping

from overbook.core.kubevirt.objects import Migration
from overbook.core.relief.case import migration_key


class MigrationProgress:
    """Remembers when this leader first saw each unfinished migration in its present phase.

    Args:
        wall_clock: seconds since the epoch.
    """

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._phases: dict[str, tuple[str, float]] = {}

    def seen(self, migrations: Iterable[Migration]) -> Mapping[str, float]:
        """Note the present phases; returns since when each migration has been seen in its own."""
        now = self._wall_clock()
        before, self._phases = self._phases, {}
        for migration in migrations:
            if migration.is_over:
                continue
            key, phase = migration_key(migration), migration.phase
            known = before.get(key)
            self._phases[key] = known if known is not None and known[0] == phase else (phase, now)
        return {key: since for key, (_, since) in self._phases.items()}
