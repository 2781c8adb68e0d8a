"""The writer of this node's OvercommitNode: at once after an important change, otherwise as a heartbeat."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NoReturn

from overbook.agent.bridge import Bridge, Report
from overbook.agent.duplicate import YIELDING_ANNOTATION
from overbook.core.api.overcommit_node import AGENT_MANAGER, OvercommitNode, OvercommitNodeStatus
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.say_once import SayOnce
from overbook.core.timestamp import to_timestamp
from overbook.kube.api.backoff import SPREAD, Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, KubeError
from overbook.kube.api.kinds import OVERCOMMIT_NODES

log = logging.getLogger(__name__)

LEAST_SECONDS: Final = 1.0
"""The shortest time between two writes. Only a new relief request does not wait."""
MOST_BACKOFF_SECONDS: Final = 3.0
"""Short, so that the object is up to date within seconds when the API server is back."""
MOST_REFUSED_SECONDS: Final = 30.0
"""Long, because an API server that refuses will most likely refuse again."""
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
        self._backoff = Backoff(most_seconds=MOST_BACKOFF_SECONDS)
        self._refused_backoff = Backoff(1.0, MOST_REFUSED_SECONDS)
        self._not_before = 0.0
        self._next_heartbeat = 0.0
        self._written: tuple[Any, ...] | None = None
        self._tried_request = ""
        self._complain = SayOnce(partial(log.warning, "the node's status is not written: %s"))
        self.on_silence: Sequence[Callable[[], None]] = ()
        """Called when the API server stops answering."""

    def wake(self) -> None:
        """Look for changes now."""
        self._woken.set()

    async def run(self) -> NoReturn:
        """Write the reports when they are due, until cancelled."""
        while True:
            self._woken.clear()
            report = self._bridge.report
            wait = self._seconds_until_due(report)
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

    def _seconds_until_due(self, report: Report | None) -> float:
        now = time.monotonic()
        if report is None:
            return max(self._next_heartbeat, self._not_before) - now
        if _request_id(report.status) not in ("", self._tried_request) and not report.yielding:
            return 0.0
        due = now if self._differs(report) else self._next_heartbeat
        return max(due, self._not_before) - now

    def _differs(self, report: Report) -> bool:
        """Whether the object differs from the report in something that others act on."""
        if _significant(report) != self._written:
            return True
        if report.yielding:
            return False
        own = self._bridge.news.own
        return own is None or own.agent_instance != self._instance

    async def _attempt(self, report: Report | None) -> None:
        started = time.monotonic()
        self._not_before = started + LEAST_SECONDS
        contact = self._bridge.contact
        try:
            await self._ask(report)
        except ApiError as error:
            if error.status >= 500:
                contact.failed(started)
                self._not_before = time.monotonic() + self._backoff.next_seconds(error)
            else:
                contact.answered()
                refused = error.status not in (409, 429)
                backoff = self._refused_backoff if refused else self._backoff
                self._not_before = time.monotonic() + backoff.next_seconds(error)
                self._bridge.update_refused(str(error) if refused else "")
            self._complain(str(error))
        except KubeError as error:
            if contact.failing_since is None:
                for call in self.on_silence:
                    call()
            contact.failed(started)
            self._not_before = time.monotonic() + self._backoff.next_seconds(error)
            self._complain(str(error))
        else:
            contact.answered()
            self._bridge.update_refused("")
            if self._complain.over():
                log.info("the node's status is written again")
            self._backoff.reset()
            self._refused_backoff.reset()
            spread = 1 + JITTER * (SPREAD.random() - 0.5)
            self._next_heartbeat = time.monotonic() + self._heartbeat_seconds * spread
            if report is not None:
                contact.publishes += 1
                self._written = _significant(report)

    async def _ask(self, report: Report | None) -> None:
        """Write a report; if there is none yet, read the object, to learn whether the API server answers."""
        if report is None:
            own = self._client.list(OVERCOMMIT_NODES, field_selector=f"metadata.name={self._name}")
            async for _ in own:
                continue
            return
        self._tried_request = _request_id(report.status)
        await (self._write_yielding(report) if report.yielding else self._write(report.status))

    async def _write(self, status: OvercommitNodeStatus) -> None:
        node = OvercommitNode(metadata=ObjectMeta(name=self._name), status=status)
        try:
            await self._client.apply(OVERCOMMIT_NODES, node, manager=AGENT_MANAGER, subresource="status")
        except ApiError as error:
            if error.status != 404:
                raise
            await self._client.apply(
                OVERCOMMIT_NODES, {"metadata": {"name": self._name}}, manager=AGENT_MANAGER
            )
            await self._client.apply(OVERCOMMIT_NODES, node, manager=AGENT_MANAGER, subresource="status")

    async def _write_yielding(self, report: Report) -> None:
        """Write the annotation from which the other agent learns of this one."""
        value = f"{self._instance} {report.status.observed_at or to_timestamp(time.time())}"
        metadata = {"name": self._name, "annotations": {YIELDING_ANNOTATION: value}}
        manager = f"{AGENT_MANAGER}-yielding"
        await self._client.apply(OVERCOMMIT_NODES, {"metadata": metadata}, manager=manager)


def _significant(report: Report) -> tuple[Any, ...]:
    """The parts of a report that others act on or people look for. Numbers wait for the next heartbeat."""
    status = report.status
    if report.yielding:
        return (report.yielding,)
    return (
        status.pressure.state,
        status.request,
        status.mode,
        status.paused,
        status.conditions,
        status.problems,
        tuple(decision.id for decision in status.decisions if decision.action != "reclaim"),
    )


def _request_id(status: OvercommitNodeStatus) -> str:
    return status.request.id if status.request is not None else ""
