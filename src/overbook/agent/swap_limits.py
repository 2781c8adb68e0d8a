"""Keeps each container's ``memory.swap.max`` at its allowance, and remembers what was there before."""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from overbook.agent.collector import Collector, HeldContainer
from overbook.core.guest import PodFacts
from overbook.core.sample import Sample
from overbook.core.swap import SwapDecision
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.machine import page_size_bytes

log = logging.getLogger(__name__)

PATIENCE: Final = 3
"""After this many corrections of one container somebody else clearly writes it too: say so, once."""

Key = tuple[str, str]


class SwapWriter(Protocol):
    """Writes ``memory.swap.max``."""

    def write(self, container: HeldContainer, value_bytes: int | None) -> None:
        """Set it; ``None``: unlimited."""


class CgroupSwapWriter:
    """Writes it into the container's cgroup, and into crun's inner one, which would limit it too."""

    def write(self, container: HeldContainer, value_bytes: int | None) -> None:
        """Set it, outer first.

        Raises:
            KernelFileError: the kernel refuses, or the container is gone.
        """
        container.cgroup.write_memory_swap_max(value_bytes)
        if container.leaf is not None:
            container.leaf.write_memory_swap_max(value_bytes)


class ReportingSwapWriter:
    """Writes nothing: what ``--mode observe`` uses."""

    def write(self, container: HeldContainer, value_bytes: int | None) -> None:
        """Leave it as it is."""


class SwapLimits:
    """Compares what is with what should be, every tick.

    Args:
        collector: holds the containers.
        writer: changes them, or only reports.
    """

    def __init__(self, collector: Collector, writer: SwapWriter) -> None:
        self._collector = collector
        self._writer = writer
        self._page_bytes = page_size_bytes()
        self._before: dict[Key, tuple[int, int | None]] = {}
        self._corrections: dict[Key, int] = {}
        self._wanted: dict[Key, int] = {}
        self._failed: dict[Key, str] = {}
        self.written = 0
        """Limits written since the start, for the metrics."""
        self.corrected = 0
        """Of these, the ones that put a limit back that somebody else had changed."""

    def keep(
        self,
        sample: Sample,
        facts: Mapping[str, PodFacts],
        decisions: Mapping[Key, SwapDecision],
    ) -> None:
        """Write every limit that is not what it should be. Pods that nobody told us of stay as they are."""
        seen: set[Key] = set()
        for pod in sample.pods:
            for container in pod.containers:
                key = (pod.uid, container.name)
                decision = decisions.get(key)
                held = self._collector.containers.get(pod.uid, {}).get(container.name)
                if decision is None or held is None:
                    continue
                seen.add(key)
                wanted = decision.swap_max_bytes // self._page_bytes * self._page_bytes
                if container.swap_max_bytes != wanted:
                    label = f"{facts[pod.uid].label}/{container.name}"
                    self._change(key, held, label, container.swap_max_bytes, wanted, decision)
                elif held.found.inode == self._before.get(key, (0, None))[0]:
                    self._wanted[key] = wanted
        for memory in (self._before, self._corrections, self._wanted, self._failed):
            for key in memory.keys() - seen:
                del memory[key]

    def restore(self) -> int:
        """Put back what was there before the agent came; how many limits were put back."""
        restored = 0
        for (uid, name), (inode, value) in self._before.items():
            held = self._collector.containers.get(uid, {}).get(name)
            if held is None or held.found.inode != inode:
                continue
            try:
                self._writer.write(held, value)
                restored += 1
            except KernelFileError as error:
                log.warning("swap limit not put back: %s", error)
        self._before.clear()
        return restored

    def _change(
        self,
        key: Key,
        held: HeldContainer,
        label: str,
        now: int | None,
        wanted: int,
        decision: SwapDecision,
    ) -> None:
        inode = held.found.inode
        if self._before.get(key, (0, None))[0] != inode:
            self._before[key] = (inode, now)
            self._corrections.pop(key, None)
            self._wanted.pop(key, None)
        try:
            self._writer.write(held, wanted)
        except MissingKernelFile:
            return
        except KernelFileError as error:
            if self._failed.get(key) != str(error):
                self._failed[key] = str(error)
                log.warning("memory.swap.max of %s stays %s: %s", label, shown(now), error)
            return
        self._failed.pop(key, None)
        self.written += 1
        corrections = 0
        if self._wanted.get(key) == wanted:
            self.corrected += 1
            corrections = self._corrections[key] = self._corrections.get(key, 0) + 1
        self._wanted[key] = wanted
        if corrections == PATIENCE:
            log.warning(
                "memory.swap.max of %s is written by something else too; it is put back each time", label
            )
        if corrections < PATIENCE:
            log.info(
                "memory.swap.max of %s: %s -> %s (%s)", label, shown(now), shown(wanted), decision.sentence
            )


def shown(value_bytes: int | None) -> str:
    """A limit for people."""
    return "max" if value_bytes is None else f"{value_bytes / 2**20:.0f} MiB"
