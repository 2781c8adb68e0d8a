"""Events (``core/v1``), as ``kubectl describe`` shows them: recorded at once, sent when somebody listens.

The same event again raises the count of the one there is. An event's name follows from what it says, so that
this holds after a restart, too. Whoever records never waits and never fails.
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
"""Different events that wait to be sent; the oldest is forgotten for a newer one."""
MOST_REMEMBERED: Final = 512
"""Events whose count is known without asking."""
MOST_AT_ONCE: Final = 25
SECONDS_EACH: Final = 1.0
"""After :data:`MOST_AT_ONCE` events, one a second."""
MOST_MESSAGE_BYTES: Final = 1024
MOST_FORBIDDEN: Final = 8
"""An API server that has just started does not know anybody's rights for some seconds."""
CLUSTER_SCOPED_NAMESPACE: Final = "default"
"""Where events about objects without a namespace are."""

EventType = Literal["Normal", "Warning"]


class _Pending(msgspec.Struct):
    """An event that waits.

    Attributes:
        regarding: the object.
        type: ``Normal`` or ``Warning``.
        reason: CamelCase.
        message: as recorded last.
        first: when it happened first, seconds since 1970.
        last: when it happened last.
        times: how often, since it was last sent.
        forbidden: how often the API server said that we may not.
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
    """Records events.

    Args:
        client: to the API server.
        component: who reports, such as ``overbook-agent``.
        host: from which node; empty: none in particular.
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
        """Different events that wait."""
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
        """Record one, from the loop's thread.

        Args:
            regarding: the object: at least kind and name.
            reason: CamelCase, for programs.
            message: for people; cut off at 1 KiB.
            type: ``Warning`` for what somebody should look at.
            same_as: events about one object with the same reason and this are one event that happens again;
                empty: those with the same message. Give something where numbers in the message change.
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
        """Send what is recorded, until cancelled."""
        backoff = Backoff(most_seconds=5.0)
        while True:
            await self._wake.wait()
            if not self._pending:
                self._wake.clear()
                continue
            await asyncio.sleep(self._turn())
            try:
                await self._send_one()
            except Exception as error:  # noqa: BLE001 - an event is never worth more than what it reports
                log.info("an event waits to be sent: %s", error)
                await asyncio.sleep(backoff.next_seconds(error))
            else:
                backoff.reset()

    def _turn(self) -> float:
        """How long the next one has to wait for the rate."""
        now = self._clock()
        self._tokens = min(MOST_AT_ONCE, self._tokens + (now - self._tokens_at) / SECONDS_EACH)
        self._tokens_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens * SECONDS_EACH)

    async def _send_one(self) -> None:
        if not self._pending:  # given up for newer ones while this one waited
            return
        name, pending = self._pending.popitem(last=False)
        try:
            await self._send(name, pending)
        except (ApiError, ApiUnavailable) as error:
            if is_status(error, 403) and pending.forbidden < MOST_FORBIDDEN:
                pending.forbidden += 1
                self._put_back(name, pending, first=False)  # others may be allowed
                raise
            if _may_go_later(error):
                self._put_back(name, pending)
                raise
            log.warning("event %s about %s was refused: %s", pending.reason, pending.regarding.name, error)
        except KubeError as error:
            log.warning("event %s about %s: %s", pending.reason, pending.regarding.name, error)
        except BaseException:
            self._put_back(name, pending)
            raise

    def _put_back(self, name: str, pending: _Pending, *, first: bool = True) -> None:
        """To the front or the end, together with what was recorded meanwhile."""
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
            # Made before this process began. Patching nothing says how often it has happened, and needs no
            # other right than the patch that follows.
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
        """As client-go makes it, ``object.hexadecimal``, but from what it says, not from the time."""
        said = (
            self._component,
            self._host,
            regarding.kind,
            regarding.uid or "",
            regarding.field_path or "",
            type_,
            reason,
            same_as,
        )
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:16]
        return f"{regarding.name[:230]}.{digest}"


def _may_go_later(error: ApiError | ApiUnavailable) -> bool:
    """Whether trying again makes sense: not where the API server says that the event itself is wrong."""
    return isinstance(error, ApiUnavailable) or error.status in (401, 408, 429) or error.status >= 500
