"""The writer of this node's OvercommitNode: at once after an important change, otherwise seldom."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from overbook.agent.api.attempts import Attempts
from overbook.agent.bridge import Bridge, Report
from overbook.core.api.heartbeat import HEARTBEAT_SECONDS
from overbook.core.api.overcommit_node import AGENT_MANAGER, OvercommitNode, OvercommitNodeStatus
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.kube.api.backoff import SPREAD
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import OVERCOMMIT_NODES

LEAST_SECONDS: Final = 1.0
"""The shortest time between two writes. Only a new relief request does not wait."""
NUMBERS_SECONDS: Final = HEARTBEAT_SECONDS
"""The shortest time between two writes because of numbers."""
MOVED_SHARE: Final = 1 / 20
"""Numbers are written before their time when memory or swap has changed by this share of the RAM."""
JITTER: Final = 0.2


class Publisher:
    """Keeps the node's object equal to the last report.

    Args:
        client: to the API server.
        node_name: the object's name.
        instance: this agent's instance.
        bridge: to the tick's thread.
        heartbeat_seconds: how often the object is written when nothing changes.
    """

    def __init__(
        self, client: Client, node_name: str, instance: str, bridge: Bridge, heartbeat_seconds: float
    ) -> None:
        self._client = client
        self._name = node_name
        self._instance = instance
        self._bridge = bridge
        self._heartbeat_seconds = heartbeat_seconds
        self._woken = asyncio.Event()
        self._written: OvercommitNodeStatus | None = None
        self._written_at = 0.0
        self._answer = OvercommitNode()
        self._next_heartbeat = 0.0
        self._tried_request = ""
        self.attempts = Attempts(bridge, "the node's status")
        self.on_written: Callable[[OvercommitNode], None] = lambda _: None
        """Called with the object as it is after a write."""

    def wake(self) -> None:
        """Look for changes now."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Write the reports when they are due, until cancelled."""
        while True:
            self._woken.clear()
            report = self._bridge.report
            if report is None or report.yielding:
                self._written = None
                await self._woken.wait()
                continue
            wait = self._seconds_until_due(report.status)
            if wait <= 0:
                await self._attempt(report)
                continue
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def write_last(self) -> None:
        """Write the last report, once."""
        report = self._bridge.report
        if report is not None and not report.yielding and self._written is not None:
            await self._attempt(report)

    def _seconds_until_due(self, status: OvercommitNodeStatus) -> float:
        now = time.monotonic()
        if _request_id(status) not in ("", self._tried_request):
            return 0.0
        if self._differs(status):
            due = now
        elif self._written is not None and _numbers_matter(self._written, status):
            due = min(self._next_heartbeat, self._written_at + NUMBERS_SECONDS)
        else:
            due = self._next_heartbeat
        return max(due, self.attempts.not_before) - now

    def _differs(self, status: OvercommitNodeStatus) -> bool:
        """Whether the object differs from the report in something that others act on."""
        if self._written is None or _significant(status) != _significant(self._written):
            return True
        own = self._bridge.news.own
        return own is None or own.agent_instance != self._instance

    async def _attempt(self, report: Report) -> None:
        self._tried_request = _request_id(report.status)
        if await self.attempts.make(lambda: self._write(report.status), LEAST_SECONDS):
            self._bridge.contact.publishes += 1
            self._written, self._written_at = report.status, time.monotonic()
            spread = 1 + JITTER * (SPREAD.random() - 0.5)
            self._next_heartbeat = self._written_at + self._heartbeat_seconds * spread
            self.on_written(self._answer)

    async def _write(self, status: OvercommitNodeStatus) -> None:
        node = OvercommitNode(metadata=ObjectMeta(name=self._name), status=status)
        try:
            written = await self._apply(node, "status")
        except ApiError as error:
            if error.status != 404:
                raise
            await self._apply({"metadata": {"name": self._name}})
            written = await self._apply(node, "status")
        self._answer = written

    async def _apply(self, node: OvercommitNode | dict[str, Any], subresource: str = "") -> OvercommitNode:
        return await self._client.apply(
            OVERCOMMIT_NODES, node, manager=AGENT_MANAGER, subresource=subresource
        )


def _significant(status: OvercommitNodeStatus) -> tuple[Any, ...]:
    """The parts of a report that others act on or people look for. Numbers are not among them."""
    return (
        status.pressure.state,
        status.request,
        status.mode,
        status.paused,
        status.conditions,
        status.problems,
        status.swap.writer,
        tuple(decision.id for decision in status.decisions if decision.action != "reclaim"),
    )


def _numbers_matter(written: OvercommitNodeStatus, status: OvercommitNodeStatus) -> bool:
    """Whether the numbers are worth a write: the node needs somebody's eye, or they have changed visibly."""
    if status.pressure.state != "None" or status.request is not None:
        return True
    if status.swap.differing != written.swap.differing:
        return True
    before, after = _coarse(written), _coarse(status)
    step = max(1.0, status.memory.total_bytes * MOVED_SHARE)
    return any(abs(new - old) >= step for old, new in zip(before, after, strict=True))


def _coarse(status: OvercommitNodeStatus) -> tuple[int, ...]:
    memory, swap = status.memory, status.swap
    return (
        memory.available_bytes or 0,
        memory.promised_bytes or 0,
        memory.offloaded_bytes,
        swap.total_bytes,
        swap.used_bytes,
        swap.allowed_bytes,
    )


def _request_id(status: OvercommitNodeStatus) -> str:
    return status.request.id if status.request is not None else ""
