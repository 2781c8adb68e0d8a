"""Reclaim: swapping out cold memory of pods, in slices, so that the agent's tick stays short."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from overbook.agent.collector import Collector, HeldContainer
from overbook.core.pressure.decision import ReclaimStep
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)

SLICE_BYTES: Final = 4 * 2**20
"""The size of one write to ``memory.reclaim``, which blocks. Between small writes the agent can stop."""
BUDGET_SECONDS: Final = 0.25
"""The longest time of reclaim in one tick, short enough that relief is never late because of it."""


class Reclaimer(Protocol):
    """The interface through which memory is swapped out."""

    def reclaim(self, steps: Sequence[ReclaimStep], /) -> int:
        """Do as many of the steps as fit into the tick; returns the bytes requested from the kernel."""


class ReportingReclaimer:
    """Swaps nothing out: for ``--mode observe``."""

    def reclaim(self, _steps: Sequence[ReclaimStep], /) -> int:
        """Do nothing."""
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
        """Write slices, coldest pod first, until all is done, the kernel refuses or the time is over."""
        deadline = self._clock() + BUDGET_SECONDS
        asked = 0
        for step in steps:
            left = step.wanted_bytes
            for container in self._collector.containers.get(step.uid, {}).values():
                while left > 0 and self.supported and self._clock() < deadline:
                    part = min(SLICE_BYTES, left)
                    if not self._reclaim_slice(container, step.label, part):
                        break
                    asked += part
                    left -= part
        return asked

    def _reclaim_slice(self, container: HeldContainer, label: str, size_bytes: int) -> bool:
        try:
            if container.cgroup.read_memory_swap_max() == 0:
                return False  # only page cache would be dropped, which does not help against a stall
            return container.cgroup.reclaim(size_bytes)
        except MissingKernelFile as error:
            if container.cgroup.exists():
                # memory.reclaim came with Linux 5.19.
                self.supported = False
                log.warning("this kernel cannot reclaim on request; only relief is left (%s)", error)
        except KernelFileError as error:
            log.warning("nothing reclaimed of %s: %s", label, error)
        return False
