"""The choice of the writer of swap limits, and what this writer needs in each tick.

Two writers set a limit before a container starts: the runtime's plugin (NRI), and the OCI hook with its file.
The agent's own writes in each tick correct what these missed. Where the kubelet writes, the agent does not.
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

KUBELET_WAIT_SECONDS: Final = 10.0
"""How long the agent waits after its start for the kubelet's configuration before it writes anything."""


class SwapWriters:
    """Chooses the writer, and keeps what it needs.

    Args:
        settings: the agent's settings.
        collector: holds the containers.
        allowed: gives a container's allowance, for the runtime's questions.
        now: monotonic seconds.
    """

    def __init__(self, settings: AgentSettings, collector: Collector, allowed: Allowance, now: float) -> None:
        self._settings = settings
        self._collector = collector
        self._allowed = allowed
        self._started_at = now
        self._facts = WriterInputsReader(settings.fsroot, settings.swap_writer)
        self._file = AllowanceFile(settings.fsroot)
        self._owns_file = False
        self._decisions: Mapping[tuple[str, str], SwapDecision] = {}
        self._allowances: dict[tuple[str, str], int] = {}
        self._cleared = False
        self._complain = SayOnce(partial(log.warning, "allowances for the hook: %s"))
        self._page_bytes = page_size_bytes()
        self._epoll: select.epoll | None = None
        self.connection: NriSocket | None = None
        """The connection to the runtime, where the writer is NRI."""
        self._last_facts: WriterInputs | None = None
        self._acting = False
        self.choice: Choice | None = None
        """The writer in force; ``None``: not known yet, so nothing is written."""
        self.acting: SwapWriter = ReportingSwapWriter()
        """The writer that is used while the agent enforces."""

    @property
    def kubelet(self) -> KubeletConfiguration | None:
        """The kubelet's configuration; ``None``: not known."""
        return self._facts.kubelet

    def attach(self, epoll: select.epoll) -> None:
        """Use the agent's loop, which then calls :meth:`handle` for a descriptor of the runtime."""
        self._epoll = epoll

    def settle(self, now: float, reported: KubeletConfiguration | None, *, asked: bool) -> None:
        """Choose the writer.

        Args:
            now: monotonic seconds.
            reported: the configuration that the kubelet reports; ``None``: none yet.
            asked: whether the kubelet has been asked by now, or never will be.
        """
        facts = self._facts.look(now, reported)
        if facts.kubelet is None and not asked and now - self._started_at < KUBELET_WAIT_SECONDS:
            return
        if facts == self._last_facts:
            return
        self._last_facts = facts
        policy = self._settings.swap
        choice = writer_in_force(self._settings.swap_writer, facts, policy.eligibility, policy.allowance)
        if choice == self.choice:
            return
        self.choice = choice
        self._log_choice(choice)
        self._use(choice, facts)

    def enforce(self, acting: bool, *, hands_off: bool = False) -> None:
        """Write from now on, or leave everything as it is.

        Args:
            acting: whether anything may be written.
            hands_off: another agent does this node's work, so this one does not remove the hook's file.
        """
        if acting == self._acting:
            return
        self._acting = acting
        if not acting:
            self._disconnect()
            if self._owns_file and not hands_off:
                self._remove_file()
            self._owns_file = False

    def keep(self, now: float, decisions: Mapping[tuple[str, str], SwapDecision]) -> None:
        """Do the tick's work for the connection or the file."""
        if not self._acting or self.choice is None:
            return
        if self.choice.writer == "hook":
            self._keep_file(decisions)
        elif not self._cleared:
            self._cleared = True
            self._remove_file()  # left from when the hook was the writer: not updated any more
        if self.connection is not None:
            self.connection.tick(now)
            if self.connection.memory.full:
                pods = self._collector.containers.values()
                self.connection.memory.forget({held.found.id for pod in pods for held in pod.values()})

    def owns(self, fd: int) -> bool:
        """Whether a descriptor belongs to the connection to the runtime."""
        return self.connection is not None and self.connection.owns(fd)

    def handle(self, now: float) -> None:
        """Answer the runtime's questions."""
        if self.connection is not None:
            self.connection.handle(now)

    def close(self, *, restore: bool) -> None:
        """Disconnect from the runtime; ``restore``: also remove the hook's file, which stops the hook."""
        self._disconnect()
        if restore and self._owns_file:
            self._remove_file()

    def values(self) -> dict[str, float]:
        """The values for the metrics, by name."""
        connection = self.connection
        return {
            "nri_connected": int(connection is not None and connection.connected),
            "nri_connections_total": connection.connections if connection else 0,
            "nri_adjusted_total": connection.memory.adjusted if connection else 0,
            "nri_kept_total": connection.memory.kept if connection else 0,
            "nri_left_alone_total": connection.memory.left_alone if connection else 0,
        }

    def _log_choice(self, choice: Choice) -> None:
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
        """Write every allowance into the hook's file."""
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
            self._owns_file = True

    def _remove_file(self) -> None:
        self._owns_file = False
        try:
            self._file.remove()
        except OSError as error:
            self._complain(f"{error}; the hook continues with the old content")
