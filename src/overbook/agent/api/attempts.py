"""Attempts to write to the API server: what each result means for the contact, and when to try again."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from overbook.agent.bridge import Bridge
from overbook.core.say_once import SayOnce
from overbook.kube.api.backoff import Backoff
from overbook.kube.api.errors import ApiError, KubeError

log = logging.getLogger(__name__)

MOST_BACKOFF_SECONDS: Final = 3.0
"""Short, so that the object is up to date within seconds when the API server is back."""
MOST_REFUSED_SECONDS: Final = 30.0
"""Long, because an API server that refuses will most likely refuse again."""


class Attempts:
    """The results of one kind of writes.

    Args:
        bridge: to the tick's thread.
        what: the subject of the writes, for the log, such as ``the node's status``.
    """

    def __init__(self, bridge: Bridge, what: str) -> None:
        self._bridge = bridge
        self._what = what
        self._backoff = Backoff(most_seconds=MOST_BACKOFF_SECONDS)
        self._refused_backoff = Backoff(1.0, MOST_REFUSED_SECONDS)
        self._complain = SayOnce(partial(log.warning, f"{what} is not written: %s"))
        self.not_before = 0.0
        """The earliest time of the next attempt, on the monotonic clock."""
        self.succeeded = False
        """Whether there was an attempt, and the last one succeeded."""
        self.on_silence: Sequence[Callable[[], None]] = ()
        """Called when the API server stops answering."""

    async def make(self, write: Callable[[], Awaitable[None]], least_seconds: float = 0.0) -> bool:
        """Make an attempt; returns whether it succeeded.

        Args:
            write: the requests to the API server.
            least_seconds: the shortest time to the next attempt.
        """
        started = time.monotonic()
        self.not_before = started + least_seconds
        contact = self._bridge.contact
        try:
            await write()
        except ApiError as error:
            self.succeeded = False
            if error.status >= 500:
                contact.failed(started)
                self._wait(self._backoff, error)
            else:
                contact.answered()
                refused = error.status not in (409, 429)
                self._wait(self._refused_backoff if refused else self._backoff, error)
                self._bridge.update_refused(str(error) if refused else "", self._what)
            self._complain(str(error))
        except KubeError as error:
            self.succeeded = False
            if contact.failing_since is None:
                for call in self.on_silence:
                    call()
            contact.failed(started)
            self._wait(self._backoff, error)
            self._complain(str(error))
        else:
            self.succeeded = True
            contact.answered()
            self._bridge.update_refused("", self._what)
            if self._complain.over():
                log.info("%s is written again", self._what)
            self._backoff.reset()
            self._refused_backoff.reset()
        return self.succeeded

    def _wait(self, backoff: Backoff, error: KubeError) -> None:
        self.not_before = time.monotonic() + backoff.next_seconds(error)
