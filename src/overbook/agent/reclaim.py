"""Reclaim: swapping out cold memory of pods, in slices, so that the agent's tick stays short."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from overbook.agent.collector import Collector, HeldContainer
from overbook.core.pressure.decision import ReclaimStep
from overbook.core.pressure.offload import Reclaimed
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)

SLICE_BYTES: Final = 4 * 2**20
"""The size of one write to ``memory.reclaim``, which blocks. Between small writes the agent can stop."""
BUDGET_SECONDS: Final = 0.25
"""The longest time of reclaim in one tick, short enough that relief is never late because of it."""
UNHURRIED_SECONDS: Final = 0.1
"""The same for memory that is swapped out ahead of need."""


class Reclaimer(Protocol):
    """The interface through which memory is swapped out."""

    def reclaim(self, steps: Sequence[ReclaimStep], /, *, hurry: bool = True) -> tuple[Reclaimed, ...]:
        """Do as many of the steps as fit into the tick; returns what was done."""


class ReportingReclaimer:
    """Swaps nothing out: for ``--mode observe``."""

    def reclaim(self, _steps: Sequence[ReclaimStep], /, *, hurry: bool = True) -> tuple[Reclaimed, ...]:  # noqa: ARG002 - the interface's
        """Do nothing."""
        return ()


class CgroupReclaimer:
    """Writes ``memory.reclaim`` of the pods' containers that may swap.

    Args:
        collector: holds the containers.
        clock: seconds, monotonic.
        cpu_clock: CPU seconds of this thread.
    """

    def __init__(
        self,
        collector: Collector,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._collector = collector
        self._clock = clock
        self._cpu_clock = cpu_clock
        self.supported = True

    def reclaim(self, steps: Sequence[ReclaimStep], *, hurry: bool = True) -> tuple[Reclaimed, ...]:
        """Write slices, coldest pod first, until all is done, the kernel refuses or the time is over."""
        deadline = self._clock() + (BUDGET_SECONDS if hurry else UNHURRIED_SECONDS)
        done = []
        for step in steps:
            if not self.supported or self._clock() >= deadline:
                break
            done.append(self._reclaim_pod(step, deadline))
        return tuple(done)

    def _reclaim_pod(self, step: ReclaimStep, deadline: float) -> Reclaimed:
        begun, cpu = self._clock(), self._cpu_clock()
        containers = self._collector.containers.get(step.uid, {}).values()
        before = _swap_bytes(containers)
        left = step.wanted_bytes
        for container in containers:
            while left > 0 and self.supported and self._clock() < deadline:
                part = min(SLICE_BYTES, left)
                if not self._reclaim_slice(container, step.label, part):
                    break
                left -= part
        return Reclaimed(
            uid=step.uid,
            asked_bytes=step.wanted_bytes - left,
            swapped_bytes=max(0, _swap_bytes(containers) - before),
            seconds=self._clock() - begun,
            cpu_seconds=self._cpu_clock() - cpu,
        )

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


def _swap_bytes(containers: Iterable[HeldContainer]) -> int:
    swap = 0
    for container in containers:
        try:
            swap += container.cgroup.read_memory_swap_current()
        except KernelFileError:
            continue  # it ended, or the kernel does not count swap
    return swap
