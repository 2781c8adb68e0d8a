"""Reclaim: swapping out cold memory of pods, in slices and in a thread of its own.

A write to ``memory.reclaim`` waits for the swap disk; on a slow one it was seen to wait for 15 s. The tick
waits for a batch only for a moment, and hears later what became of one that takes longer.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from overbook.agent.collector import Collector
from overbook.agent.small_thread import SmallThread
from overbook.core.pressure.decision import ReclaimStep
from overbook.core.pressure.offload import OVERSHOT, Reclaimed
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError, MissingKernelFile

log = logging.getLogger(__name__)

SLICE_BYTES: Final = 4 * 2**20
"""The size of one write to ``memory.reclaim``. A batch can end between two of them."""
BUDGET_SECONDS: Final = 0.25
"""The longest time of a batch, and the longest time that a tick waits for it."""
UNHURRIED_SECONDS: Final = 0.1
"""The same for memory that is swapped out ahead of need."""


class Reclaimer(Protocol):
    """The interface through which memory is swapped out."""

    def reclaim(self, steps: Sequence[ReclaimStep], /, *, hurry: bool = True) -> tuple[Reclaimed, ...]:
        """Begin the steps; returns what was done since the last call."""


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
        cpu_clock: CPU seconds of the thread that calls it.
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
        self._batch: _Batch | None = None
        self.supported = True

    def reclaim(self, steps: Sequence[ReclaimStep], *, hurry: bool = True) -> tuple[Reclaimed, ...]:
        """Write slices, coldest pod first, until all is done, the kernel refuses or the time is over.

        While the last batch is not over, nothing is begun.
        """
        done = self._finished()
        if self._batch is None and steps and self.supported:
            seconds = BUDGET_SECONDS if hurry else UNHURRIED_SECONDS
            batch = _Batch(
                [(step, self._cgroups(step.uid)) for step in steps], seconds, self._clock, self._cpu_clock
            )
            try:
                batch.start()
            except RuntimeError as error:
                batch.close()
                log.warning("nothing is reclaimed: %s", error)
                return done
            self._batch = batch
            batch.join(seconds)
            done += self._finished()
        return done

    def _finished(self) -> tuple[Reclaimed, ...]:
        batch = self._batch
        if batch is None or batch.is_alive():
            return ()
        self._batch = None
        self.supported = self.supported and batch.supported
        return tuple(batch.done)

    def _cgroups(self, uid: str) -> "list[_Target]":
        """The cgroups of a pod's containers with descriptors of their own: the collector may close its."""
        protects, found = self._collector.reads_protection, []
        for container in self._collector.containers.get(uid, {}).values():
            try:
                kept = (container.protected_bytes or 0) if protects else 0
                found.append(_Target(container.cgroup.again(), kept))
            except (KernelFileError, OSError) as error:
                log.debug("not reclaimed: %s", error)
        return found


class _Target(NamedTuple):
    """A container's cgroup, and how much of its memory is protected from reclaim.

    The kernel does not keep that: a cgroup's protection does not hold against its own ``memory.reclaim``.
    """

    cgroup: Cgroup
    protected_bytes: int


class _Batch(SmallThread):
    """One batch of steps. It ends by itself; what went wrong is in the log, and another batch follows."""

    def __init__(
        self,
        work: Sequence[tuple[ReclaimStep, list[_Target]]],
        seconds: float,
        clock: Callable[[], float],
        cpu_clock: Callable[[], float],
    ) -> None:
        super().__init__(name="overbook-reclaim", daemon=True)
        self._work = work
        self._seconds = seconds
        self._clock = clock
        self._cpu_clock = cpu_clock
        self.supported = True
        self.done: list[Reclaimed] = []

    def run(self) -> None:
        """Do the steps."""
        deadline = self._clock() + self._seconds
        try:
            for step, targets in self._work:
                if not self.supported or self._clock() >= deadline:
                    return
                self.done.append(self._reclaim_pod(step, targets, deadline))
        except Exception:
            log.exception("a batch of reclaim failed")
        finally:
            self.close()

    def close(self) -> None:
        """Close the cgroups."""
        for _, targets in self._work:
            for target in targets:
                target.cgroup.close()

    def _reclaim_pod(self, step: ReclaimStep, targets: list[_Target], deadline: float) -> Reclaimed:
        begun, cpu = self._clock(), self._cpu_clock()
        cgroups = [target.cgroup for target in targets]
        before = _swap_bytes(cgroups)
        left = step.wanted_bytes
        for cgroup, protected in targets:
            while left > 0 and self.supported and self._clock() < deadline:
                part = min(SLICE_BYTES, left, _unprotected_bytes(cgroup, protected))
                if part <= 0 or not self._reclaim_slice(cgroup, step.label, part):
                    break
                left -= part
                if _swap_bytes(cgroups) - before > OVERSHOT * (step.wanted_bytes - left):
                    break
        return Reclaimed(
            uid=step.uid,
            asked_bytes=step.wanted_bytes - left,
            swapped_bytes=max(0, _swap_bytes(cgroups) - before),
            seconds=self._clock() - begun,
            cpu_seconds=self._cpu_clock() - cpu,
        )

    def _reclaim_slice(self, cgroup: Cgroup, label: str, size_bytes: int) -> bool:
        try:
            if cgroup.read_memory_swap_max() == 0:
                return False  # only page cache would be dropped, which does not help against a stall
        except MissingKernelFile:
            return False  # it ended, or the kernel does not count its swap, so that nothing would limit it
        except KernelFileError as error:
            log.warning("nothing reclaimed of %s: %s", label, error)
            return False
        try:
            return cgroup.reclaim(size_bytes)
        except MissingKernelFile as error:
            if cgroup.exists():
                # memory.reclaim came with Linux 5.19.
                self.supported = False
                log.warning("this kernel cannot reclaim on request; only relief is left (%s)", error)
        except KernelFileError as error:
            log.warning("nothing reclaimed of %s: %s", label, error)
        return False


def _unprotected_bytes(cgroup: Cgroup, protected_bytes: int) -> int:
    """How much of a cgroup's memory may be reclaimed now."""
    if not protected_bytes:
        return SLICE_BYTES
    try:
        return cgroup.read_memory_current() - protected_bytes
    except KernelFileError:
        return 0  # it ended


def _swap_bytes(cgroups: Sequence[Cgroup]) -> int:
    swap = 0
    for cgroup in cgroups:
        try:
            swap += cgroup.read_memory_swap_current()
        except KernelFileError:
            continue  # it ended, or the kernel does not count swap
    return swap
