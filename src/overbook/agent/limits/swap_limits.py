"""The comparison of each container's ``memory.swap.max`` with its allowance, every tick."""

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.agent.collector import Collector, HeldContainer
from overbook.agent.limits.writers.writer import Limits, SwapWriter, Unwritten
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import SwapDecision, whole_pages
from overbook.core.pressure.sample import Sample
from overbook.kernel.files import KernelFileError, MissingKernelFile
from overbook.kernel.machine import page_size_bytes

log = logging.getLogger(__name__)

MOST_CORRECTIONS: Final = 3
"""Corrections of one container after which the log says, once, that another program writes its limit too."""

Key = tuple[str, str]
"""Pod UID and container name."""
Identity = tuple[str, int]
"""A cgroup's path and inode. They stay the same while the container's name becomes known or unknown."""


class LimitNotWritten(msgspec.Struct, frozen=True, gc=False):
    """A limit that differs from the allowance and that the agent does not write.

    Attributes:
        container: ``namespace/pod/container``.
        present_bytes: the limit now; ``None``: unlimited.
        wanted_bytes: the allowance.
        sentence: why the allowance is this size.
        reason: why the limit is not written.
    """

    container: str
    present_bytes: int | None
    wanted_bytes: int
    sentence: str
    reason: Unwritten

    def __str__(self) -> str:
        present = shown(self.present_bytes)
        is_there = {
            "Observing": "would be",
            "Kubelet": f"is {present}, set by the kubelet, and should be",
            "Others": f"is {present}, set by another plugin, and would be",
        }[self.reason]
        return f"memory.swap.max of {self.container} {is_there} {shown(self.wanted_bytes)} ({self.sentence})"


class SwapLimits:
    """Compares the limits with the allowances, every tick.

    Args:
        collector: holds the containers.
        writer: writes the limits, or only reports them.
    """

    def __init__(self, collector: Collector, writer: SwapWriter) -> None:
        self._collector = collector
        self.writer = writer
        """Replaceable. A limit is put back by the writer that wrote it."""
        self._page_bytes = page_size_bytes()
        self._before: dict[Identity, tuple[SwapWriter, Limits]] = {}
        self._corrections: dict[Identity, int] = {}
        self._wanted: dict[Identity, int] = {}
        self._reported: dict[Identity, int] = {}
        self._failed: dict[Identity, str] = {}
        self._generation = 0
        self._decisions: Mapping[Key, SwapDecision] = {}
        self._whole: dict[Key, int] = {}
        """The allowances in whole pages; computed again only when they change."""
        self.written = 0
        """Limits written since the start, for the metrics."""
        self.corrected = 0
        """Of these, the ones that set a limit again after another program had changed it."""
        self.differing = 0
        """Containers whose limit differs from the allowance and is not the agent's to write."""

    def keep(
        self,
        sample: Sample,
        facts: Mapping[str, PodFacts],
        decisions: Mapping[Key, SwapDecision],
    ) -> None:
        """Write every limit that differs from its allowance. The limits of unknown pods stay as they are."""
        if decisions is not self._decisions:
            self._decisions = decisions
            self._whole = {
                key: whole_pages(decision.swap_max_bytes, self._page_bytes)
                for key, decision in decisions.items()
            }
        differing = 0
        for pod in sample.pods:
            for container in pod.containers:
                key = (pod.uid, container.name)
                wanted = self._whole.get(key)
                held = self._collector.containers.get(pod.uid, {}).get(container.name)
                if wanted is None or held is None or not held.counts_swap:
                    continue
                if container.swap_max_bytes != wanted:
                    label = f"{facts[pod.uid].label}/{container.name}"
                    present = container.swap_max_bytes
                    differing += not self._change(held, label, present, wanted, decisions[key])
                else:
                    self._note_right(held, wanted)
        self.differing = differing
        if self._generation != self._collector.generation:
            self._generation = self._collector.generation
            self._forget()

    @property
    def contested(self) -> int:
        """The number of containers whose limit another program writes, too."""
        return sum(count >= MOST_CORRECTIONS for count in self._corrections.values())

    def restore(self) -> int:
        """Restore the limits from before the agent's start; returns how many were restored."""
        restored = 0
        for identity, container in self._held().items():
            before = self._before.get(identity)
            if before is None:
                continue
            writer, limits = before
            try:
                restored += writer.write(container, limits) is None
            except KernelFileError as error:
                log.warning("swap limit not restored: %s", error)
        self._before.clear()
        return restored

    def _change(
        self,
        held: HeldContainer,
        label: str,
        now: int | None,
        wanted: int,
        decision: SwapDecision,
    ) -> bool:
        """Write a limit, or log what it would be. Returns whether the limit is correct afterwards."""
        key = _identity(held)
        corrects = self._wanted.get(key) == wanted
        try:
            self._note_before(key, held, now)
            unwritten = self.writer.write(held, (wanted, wanted))
        except MissingKernelFile as error:
            if not held.cgroup.exists():
                return True  # the container is gone
            if self._failed.get(key) != str(error):
                self._failed[key] = str(error)
                log.warning("memory.swap.max of %s cannot be kept: %s", label, error)
            return False
        except KernelFileError as error:
            if self._failed.get(key) != str(error):
                self._failed[key] = str(error)
                log.warning("memory.swap.max of %s stays %s: %s", label, shown(now), error)
            return False
        self._failed.pop(key, None)
        if unwritten is None:
            self._wanted[key] = wanted
            self._note_written(
                key, label, f"{shown(now)} -> {shown(wanted)} ({decision.sentence})", corrects=corrects
            )
        elif self._reported.get(key) != wanted:
            self._reported[key] = wanted
            log.info("%s", LimitNotWritten(label, now, wanted, decision.sentence, unwritten))
        return unwritten is None

    def _note_right(self, held: HeldContainer, wanted: int) -> None:
        """Remember what a container's limit would be without Overbook, if Overbook set it at its start."""
        key = _identity(held)
        if key not in self._wanted and key not in self._before:
            given = self.writer.given(held)
            if given is not None and given[0] != wanted:
                self._before[key] = self.writer, given
        self._wanted[key] = wanted

    def _note_before(self, key: Identity, held: HeldContainer, now: int | None) -> None:
        """Remember the limit that a container had before the first change."""
        if key not in self._before:
            before = self.writer.read(held, now)
            if before is not None:
                self._before[key] = self.writer, before

    def _note_written(self, key: Identity, label: str, change: str, *, corrects: bool) -> None:
        """Count and log a written limit; ``corrects``: another program had changed the agent's limit."""
        self.written += 1
        corrections = 0
        if corrects:
            self.corrected += 1
            corrections = self._corrections[key] = self._corrections.get(key, 0) + 1
        if corrections == MOST_CORRECTIONS:
            log.warning(
                "memory.swap.max of %s is written by another program too; the agent sets it again each time",
                label,
            )
        if corrections < MOST_CORRECTIONS:
            log.info("memory.swap.max of %s: %s", label, change)

    def _forget(self) -> None:
        """Forget the containers that are gone, but not those whose pod is only unknown for a while."""
        held = self._held()
        for memory in (self._before, self._corrections, self._wanted, self._reported, self._failed):
            for key in memory.keys() - held.keys():
                del memory[key]

    def _held(self) -> dict[Identity, HeldContainer]:
        pods = self._collector.containers.values()
        return {_identity(container): container for containers in pods for container in containers.values()}


def _identity(held: HeldContainer) -> Identity:
    return held.found.path, held.found.inode


def shown(value_bytes: int | None) -> str:
    """The text of a limit, in MiB or ``max``."""
    return "max" if value_bytes is None else f"{value_bytes / 2**20:.0f} MiB"
