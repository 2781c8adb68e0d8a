"""Events (``core/v1``), as ``kubectl describe`` shows them: recorded at once, sent in the background.

A repeated event raises the count of the existing one. An event's name is computed from its content, so this
works also after a restart. `record` never waits and never fails.
"""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, NoReturn

import msgspec

from overbook.core.timestamp import to_whole_timestamp
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, ApiUnavailable, KubeError, is_status
from overbook.kube.api.kinds import EVENTS
from overbook.kube.api.objects import ObjectReference

log = logging.getLogger(__name__)

MOST_PENDING: Final = 256
"""The most different events that wait to be sent; a newer one replaces the oldest."""
MOST_REMEMBERED: Final = 512
"""The most events whose count is kept in memory."""
MOST_AT_ONCE: Final = 25
SECONDS_EACH: Final = 1.0
"""After :data:`MOST_AT_ONCE` events, one event is sent per second."""
MOST_MESSAGE_BYTES: Final = 1024
MOST_FORBIDDEN: Final = 8
"""Retries after 403: an API server that has just started refuses every user for some seconds."""
CLUSTER_SCOPED_NAMESPACE: Final = "default"
"""The namespace of events about cluster-scoped objects."""

EventType = Literal["Normal", "Warning"]


class _Pending(msgspec.Struct):
    """An event that waits to be sent.

    Attributes:
        regarding: the object.
        type: ``Normal`` or ``Warning``.
        reason: CamelCase.
        message: the last recorded message.
        first: when it happened first, seconds since 1970.
        last: when it happened last.
        times: how often it happened since it was last sent.
        forbidden: how often the API server answered 403.
    """

    regarding: ObjectReference
    type: EventType
    reason: str
    message: str
    first: float
    last: float
    times: int = 1
    forbidden: int = 0


class EventRecorder:
    """A recorder of events.

    Args:
        client: to the API server.
        component: the reporting program, such as ``overbook-agent``.
        host: the node of that program; empty: none.
        wall_clock: seconds since 1970.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        client: Client,
        *,
        component: str,
        host: str = "",
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._wall_clock = wall_clock
        self._clock = clock
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._wake = asyncio.Event()
        self._tokens = float(MOST_AT_ONCE)
        self._tokens_at = clock()
        self.dropped = 0

    @property
    def pending(self) -> int:
        """The number of different events that wait."""
        return len(self._pending)

    def record(
        self,
        regarding: ObjectReference,
        reason: str,
        message: str,
        *,
        type: EventType = "Normal",  # noqa: A002 - the API's word
        same_as: str = "",
    ) -> None:
        """Record an event; must be called in the event loop's thread.

        Args:
            regarding: the object: at least kind and name.
            reason: CamelCase, for programs.
            message: for people; cut off at 1 KiB.
            type: ``Warning`` for an event that needs attention.
            same_as: events about one object with the same reason and the same ``same_as`` are counted as one
                repeated event; empty: those with the same message. Set it if the message contains numbers.
        """
        now = self._wall_clock()
        message = message.encode()[:MOST_MESSAGE_BYTES].decode("utf-8", "ignore")
        name = self._name(regarding, type, reason, same_as or message)
        pending = self._pending.get(name)
        if pending is None:
            if len(self._pending) >= MOST_PENDING:
                self._pending.popitem(last=False)
                self.dropped += 1
            self._pending[name] = _Pending(regarding, type, reason, message, now, now)
        else:
            pending.message, pending.last, pending.times = message, now, pending.times + 1
        self._wake.set()

    async def run(self) -> NoReturn:
        """Send the recorded events, until cancelled."""
        backoff = Backoff(most_seconds=5.0)
        while True:
            await self._wake.wait()
            if not self._pending:
                self._wake.clear()
                continue
            await asyncio.sleep(self._turn())
            try:
                await self._send_one()
            except Exception as error:  # noqa: BLE001 - a lost event must not stop the program
                log.info("an event waits to be sent: %s", error)
                await asyncio.sleep(backoff.next_seconds(error))
            else:
                backoff.reset()

    def _turn(self) -> float:
        """Seconds that the next event has to wait because of the rate limit."""
        now = self._clock()
        self._tokens = min(MOST_AT_ONCE, self._tokens + (now - self._tokens_at) / SECONDS_EACH)
        self._tokens_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens * SECONDS_EACH)

    async def _send_one(self) -> None:
        if not self._pending:  # dropped for newer ones meanwhile
            return
        name, pending = self._pending.popitem(last=False)
        try:
            await self._send(name, pending)
        except (ApiError, ApiUnavailable) as error:
            if is_status(error, 403) and pending.forbidden < MOST_FORBIDDEN:
                pending.forbidden += 1
                self._put_back(name, pending, first=False)  # other events may be allowed
                raise
            if _can_be_retried(error):
                self._put_back(name, pending)
                raise
            log.warning("event %s about %s was refused: %s", pending.reason, pending.regarding.name, error)
        except KubeError as error:
            log.warning("event %s about %s: %s", pending.reason, pending.regarding.name, error)
        except BaseException:
            self._put_back(name, pending)
            raise

    def _put_back(self, name: str, pending: _Pending, *, first: bool = True) -> None:
        """Put an event back to the front or the end, merged with the same event if recorded meanwhile."""
        newer = self._pending.pop(name, None)
        if newer is not None:
            newer.first, newer.times = pending.first, newer.times + pending.times
            newer.forbidden = pending.forbidden
        elif len(self._pending) >= MOST_PENDING:
            self.dropped += 1
            return
        self._pending[name] = newer or pending
        self._pending.move_to_end(name, last=not first)

    async def _send(self, name: str, pending: _Pending) -> None:
        namespace = pending.regarding.namespace or CLUSTER_SCOPED_NAMESPACE
        if name in self._counts:
            try:
                await self._raise_count(name, namespace, pending, self._counts[name])
            except ApiError as error:
                if error.status != 404:
                    raise
                del self._counts[name]  # the API server keeps events for an hour
            else:
                return
        try:
            await self._client.create(EVENTS, self._event(name, namespace, pending), namespace)
            self._remember(name, pending.times)
        except ApiError as error:
            if not is_status(error, 409):
                raise
            # The event was made before this process began. An empty patch returns its count, and needs the
            # same right as the patch that follows.
            known = await self._client.merge_patch(EVENTS, name, {}, namespace)
            await self._raise_count(name, namespace, pending, known.count or 1)

    async def _raise_count(self, name: str, namespace: str, pending: _Pending, known: int) -> None:
        count = known + pending.times
        patch = {
            "count": count,
            "lastTimestamp": to_whole_timestamp(pending.last),
            "message": pending.message,
        }
        await self._client.merge_patch(EVENTS, name, patch, namespace)
        self._remember(name, count)

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > MOST_REMEMBERED:
            self._counts.popitem(last=False)

    def _event(self, name: str, namespace: str, pending: _Pending) -> dict[str, object]:
        return {
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": pending.regarding,
            "reason": pending.reason,
            "message": pending.message,
            "type": pending.type,
            "source": {"component": self._component, "host": self._host or None},
            "reportingComponent": self._component,
            "reportingInstance": self._host or self._component,
            "firstTimestamp": to_whole_timestamp(pending.first),
            "lastTimestamp": to_whole_timestamp(pending.last),
            "count": pending.times,
        }

    def _name(self, regarding: ObjectReference, type_: str, reason: str, same_as: str) -> str:
        """An event's name: ``object.hexadecimal`` as in client-go, but made from its content."""
        content = (
            self._component,
            self._host,
            regarding.kind,
            regarding.uid or "",
            regarding.field_path or "",
            type_,
            reason,
            same_as,
        )
        digest = hashlib.sha256("\0".join(content).encode()).hexdigest()[:16]
        return f"{regarding.name[:230]}.{digest}"


def _can_be_retried(error: ApiError | ApiUnavailable) -> bool:
    """Whether a retry makes sense: not if the API server refuses the event itself."""
    return isinstance(error, ApiUnavailable) or error.status in (401, 408, 429) or error.status >= 500
