"""``zswap``: how much of a container's swap may stay in RAM, and whether the rest goes to the swap area.

The kernel keeps both limits by itself (cgroup-v2.rst, ``memory.zswap.max`` and ``memory.zswap.writeback``),
so they are written once for each container, and again when its allowance changes.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Final

from overbook.agent.collector import Collector, HeldContainer
from overbook.agent.settings import ZswapSettings
from overbook.core.overcommit.swap import SwapDecision, whole_pages
from overbook.kernel.files import KernelFileError
from overbook.kernel.machine import page_size_bytes
from overbook.kernel.zswap import read_zswap

log = logging.getLogger(__name__)

MAX: Final = "memory.zswap.max"
WRITEBACK: Final = "memory.zswap.writeback"

Identity = tuple[str, int, str]
"""A cgroup's path and inode, and the name of the file."""


class ZswapLimits:
    """Keeps the limits of zswap that are configured; without a setting it reads and writes nothing.

    Args:
        collector: holds the containers.
        settings: what is limited.
        root: the host's file system.
    """

    def __init__(self, collector: Collector, settings: ZswapSettings, root: str) -> None:
        self._collector = collector
        self._settings = settings
        self._root = root
        self._page_bytes = page_size_bytes()
        self._before: dict[Identity, tuple[HeldContainer, bytes]] = {}
        self._in_force: dict[Identity, str] = {}
        self._complained: set[str] = set()
        self.written = 0
        """Limits written since the start."""

    def keep(self, decisions: Mapping[tuple[str, str], SwapDecision], *, enforcing: bool) -> None:
        """Write what is not in force yet; with ``enforcing`` false nothing."""
        if not enforcing or not self._settings.limits_anything:
            return
        held = {
            (uid, name): container
            for uid, containers in self._collector.containers.items()
            for name, container in containers.items()
        }
        self._forget({(each.found.path, each.found.inode) for each in held.values()})
        missing = [
            (container, file, value)
            for key, container in held.items()
            if (decision := decisions.get(key)) is not None
            for file, value in self._wanted(decision)
            if self._in_force.get((container.found.path, container.found.inode, file)) != value
        ]
        if missing and self._is_on():
            for container, file, value in missing:
                self._write(container, file, value)

    def restore(self) -> int:
        """Put back what was there before; returns how many limits were put back."""
        restored = 0
        for (_, _, file), (container, before) in self._before.items():
            try:
                container.cgroup.write(file, before)
                restored += 1
            except KernelFileError as error:
                log.warning("%s is not put back: %s", file, error)
        self._before.clear()
        self._in_force.clear()
        return restored

    def _wanted(self, decision: SwapDecision) -> Iterator[tuple[str, str]]:
        allowance = decision.swap_max_bytes
        if allowance <= 0:
            return  # what may not swap does not reach zswap
        if self._settings.max_percent < 100:
            share = allowance * self._settings.max_percent // 100
            yield MAX, str(whole_pages(share, self._page_bytes))
        if not self._settings.writeback:
            yield WRITEBACK, "0"

    def _is_on(self) -> bool:
        """Whether zswap is on. While it is off, a container without writeback could not swap at all."""
        try:
            zswap = read_zswap(self._root)
        except KernelFileError as error:
            self._complain(f"the limits of zswap are not written: {error}")
            return False
        if zswap is None or not zswap.enabled:
            self._complain("the limits of zswap are not written: zswap is off; boot with zswap.enabled=1")
            return False
        return True

    def _write(self, container: HeldContainer, file: str, value: str) -> None:
        key = (container.found.path, container.found.inode, file)
        try:
            if key not in self._before:
                self._before[key] = container, container.cgroup.read(file)
            container.cgroup.write(file, value.encode())
        except KernelFileError as error:
            if container.cgroup.exists():
                self._complain(f"{file} is not written: {error.problem}")
            self._in_force[key] = value  # tried once
            return
        self._in_force[key] = value
        self.written += 1

    def _complain(self, sentence: str) -> None:
        if sentence not in self._complained:
            self._complained.add(sentence)
            log.warning("%s", sentence)

    def _forget(self, present: set[tuple[str, int]]) -> None:
        for memory in (self._before, self._in_force):
            for key in [key for key in memory if key[:2] not in present]:
                del memory[key]
