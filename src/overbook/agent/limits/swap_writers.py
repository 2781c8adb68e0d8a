"""Which of the ways in which limits reach containers is in force, and what it needs each round.

Reconciling is always there, as the net under the two that know a container before it starts: a plugin of the
runtime (NRI), and a file that the hook on the host reads. Where the kubelet writes, nothing here does.
"""

import logging
import select
from collections.abc import Mapping
from functools import partial
from typing import Final

from overbook.agent.collector import Collector
from overbook.agent.limits.allowance_file import AllowanceFile
from overbook.agent.limits.writer_facts import WriterInputsReader
from overbook.agent.limits.writers import MAKERS
from overbook.agent.limits.writers.nri import NriSwapWriter
from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.limits.writers.writer import SwapWriter, WriterMeans
from overbook.agent.settings import AgentSettings
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.swap import SwapDecision, whole_pages
from overbook.core.overcommit.writer import Choice, WriterInputs, writer_in_force
from overbook.core.say_once import SayOnce
from overbook.kernel.machine import page_size_bytes
from overbook.nri.connection import NriSocket
from overbook.nri.plugin import Allowance

log = logging.getLogger(__name__)

UNTOLD_SECONDS: Final = 10.0
"""So long after its start the agent waits for what the kubelet says of itself before anything is written."""


class SwapWriters:
    """Settles who writes, and keeps what that one needs.

    Args:
        settings: what was asked for.
        collector: holds the containers.
        allowed: what a container may swap, for the runtime's questions.
        now: monotonic seconds.
    """

    def __init__(self, settings: AgentSettings, collector: Collector, allowed: Allowance, now: float) -> None:
        self._settings = settings
        self._collector = collector
        self._allowed = allowed
        self._started_at = now
        self._facts = WriterInputsReader(settings.fsroot, settings.swap_writer)
        self._file = AllowanceFile(settings.fsroot)
        self._file_is_ours = False
        self._decisions: Mapping[tuple[str, str], SwapDecision] = {}
        self._allowances: dict[tuple[str, str], int] = {}
        self._cleared = False
        self._complain = SayOnce(partial(log.warning, "allowances for the hook: %s"))
        self._page_bytes = page_size_bytes()
        self._epoll: select.epoll | None = None
        self.connection: NriSocket | None = None
        """To the runtime, where NRI is in force."""
        self._last_facts: WriterInputs | None = None
        self._acting = False
        self.choice: Choice | None = None
        """Who writes; ``None``: not known yet, so nobody does."""
        self.acting: SwapWriter = ReportingSwapWriter()
        """How limits are written while the agent enforces."""

    @property
    def kubelet(self) -> KubeletConfiguration | None:
        """The kubelet's configuration; ``None``: not known."""
        return self._facts.kubelet

    def attach(self, epoll: select.epoll) -> None:
        """From now on the runtime can be heard: :meth:`handle` is called for a descriptor that it owns."""
        self._epoll = epoll

    def settle(self, now: float, told: KubeletConfiguration | None, *, asked: bool) -> None:
        """See who writes.

        Args:
            now: monotonic seconds.
            told: what the kubelet says of its configuration.
            asked: whether it was asked by now, or never will be.
        """
        facts = self._facts.look(now, told)
        if facts.kubelet is None and not asked and now - self._started_at < UNTOLD_SECONDS:
            return
        if facts == self._last_facts:
            return
        self._last_facts = facts
        policy = self._settings.swap
        choice = writer_in_force(self._settings.swap_writer, facts, policy.eligibility, policy.allowance)
        if choice == self.choice:
            return
        self.choice = choice
        self._tell(choice)
        self._use(choice, facts)

    def enforce(self, acting: bool, *, hands_off: bool = False) -> None:
        """Act from now on, or leave everything as it is.

        Args:
            acting: whether anything may be written.
            hands_off: another agent does the work here: its file is not ours to remove.
        """
        if acting == self._acting:
            return
        self._acting = acting
        if not acting:
            self._disconnect()
            if self._file_is_ours and not hands_off:
                self._remove_file()
            self._file_is_ours = False

    def keep(self, now: float, decisions: Mapping[tuple[str, str], SwapDecision]) -> None:
        """Once a round: the connection, or the file."""
        if not self._acting or self.choice is None:
            return
        if self.choice.writer == "hook":
            self._keep_file(decisions)
        elif not self._cleared:
            self._cleared = True
            self._remove_file()  # of a hook that was in force before: its numbers grow old
        if self.connection is not None:
            self.connection.tick(now)
            if self.connection.memory.full:
                pods = self._collector.containers.values()
                self.connection.memory.forget({held.found.id for pod in pods for held in pod.values()})

    def owns(self, fd: int) -> bool:
        """Whether a descriptor is the runtime's."""
        return self.connection is not None and self.connection.owns(fd)

    def handle(self, now: float) -> None:
        """The runtime asks."""
        if self.connection is not None:
            self.connection.handle(now)

    def close(self, *, restore: bool) -> None:
        """The agent stops: the runtime forgets the plugin; without the file the hook does nothing."""
        self._disconnect()
        if restore and self._file_is_ours:
            self._remove_file()

    def values(self) -> dict[str, float]:
        """Single values for the metrics."""
        connection = self.connection
        return {
            "nri_connected": int(connection is not None and connection.connected),
            "nri_connections_total": connection.connections if connection else 0,
            "nri_adjusted_total": connection.memory.adjusted if connection else 0,
            "nri_kept_total": connection.memory.kept if connection else 0,
            "nri_left_alone_total": connection.memory.left_alone if connection else 0,
        }

    def _tell(self, choice: Choice) -> None:
        if choice.problem:
            log.error("%s", choice.problem)
        log.info("swap limits are written by %s: %s", choice.writer, choice.sentence)

    def _use(self, choice: Choice, facts: WriterInputs) -> None:
        self._disconnect()
        self._cleared = False
        means = WriterMeans(self._settings.fsroot, facts, self._allowed, self._epoll)
        self.acting = MAKERS[choice.writer](means)
        self.connection = self.acting.connection if isinstance(self.acting, NriSwapWriter) else None

    def _disconnect(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def _keep_file(self, decisions: Mapping[tuple[str, str], SwapDecision]) -> None:
        """Have the hook know every allowance."""
        if decisions is not self._decisions:
            self._decisions = decisions
            self._allowances = {
                key: whole_pages(decision.swap_max_bytes, self._page_bytes)
                for key, decision in decisions.items()
            }
        try:
            self._file.keep(self._allowances)
        except OSError as error:
            self._complain(f"{error}; new containers get their limit after they start")
        else:
            self._complain.over()
            self._file_is_ours = True

    def _remove_file(self) -> None:
        self._file_is_ours = False
        try:
            self._file.remove()
        except OSError as error:
            self._complain(f"{error}; the hook goes on with what it holds")
