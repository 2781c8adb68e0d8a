"""Pushes memory of cold guests out to swap, in slices, so that the agent's own tick stays short."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from overbook.agent.collector import Collector, HeldContainer
from overbook.core.pressure.decision import ReclaimStep
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)

SLICE_BYTES: Final = 4 * 2**20
"""Writing ``memory.reclaim`` blocks until the kernel is done; between small writes it can be stopped."""
BUDGET_SECONDS: Final = 0.25
"""How long one tick may spend here: under the tick's second, so that relief is never late because of it."""


class Reclaimer(Protocol):
    """Pushes memory out."""

    def reclaim(self, steps: Sequence[ReclaimStep], /) -> int:
        """Do as much of the steps as fits the tick; how many bytes were asked of the kernel."""


class ReportingReclaimer:
    """Pushes nothing out: what ``--mode observe`` uses."""

    def reclaim(self, _steps: Sequence[ReclaimStep], /) -> int:
        """Leave it as it is."""
        return 0


class CgroupReclaimer:
    """Writes ``memory.reclaim`` of the pods' containers that may swap.

    Args:
        collector: holds the containers.
        clock: seconds, monotonic.
    """

    def __init__(self, collector: Collector, clock: Callable[[], float] = time.monotonic) -> None:
        self._collector = collector
        self._clock = clock
        self.supported = True

    def reclaim(self, steps: Sequence[ReclaimStep]) -> int:
        """Slice by slice, coldest pod first, until done, refused or out of time."""
        deadline = self._clock() + BUDGET_SECONDS
        asked = 0
        for step in steps:
            left = step.wanted_bytes
            for container in self._collector.containers.get(step.uid, {}).values():
                while left > 0 and self.supported and self._clock() < deadline:
                    part = min(SLICE_BYTES, left)
                    if not self._push(container, step.label, part):
                        break
                    asked += part
                    left -= part
        return asked

    def _push(self, container: HeldContainer, label: str, size_bytes: int) -> bool:
        try:
            if container.cgroup.read_memory_swap_max() == 0:
                return False  # only its page cache would go, which is no help against a stall
            return container.cgroup.reclaim(size_bytes)
        except MissingKernelFile as error:
            if container.cgroup.exists():
                # memory.reclaim came with Linux 5.19.
                self.supported = False
                log.warning("this kernel cannot reclaim on request; relief is all that is left (%s)", error)
        except KernelFileError as error:
            log.warning("nothing reclaimed of %s: %s", label, error)
        return False
