"""A local copy of a collection that is kept up to date, whatever happens to the connection.

The loop has three simple levels: :meth:`Reflector.run` never ends; one round of it fills the copy if
necessary and follows the changes until the connection ends; one request is :mod:`overbook.kube.api.watching`.

Versions are compared as numbers if they are numbers (guaranteed since Kubernetes 1.35), otherwise only for
equality.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Generic, NoReturn

from overbook.kube.api.backoff import Backoff
from overbook.kube.api.client import Client
from overbook.kube.api.errors import ApiError, ApiUnavailable, KubeError, is_status
from overbook.kube.api.kinds import ApiObject, Kind, T, key_of
from overbook.kube.api.listing import Undecodable
from overbook.kube.api.watching import INACTIVITY_SECONDS, WatchEvent

log = logging.getLogger(__name__)

INITIAL_SILENCE_SECONDS: Final = 10.0
"""After this silence of an answer that has begun, a WatchList is tried again."""
MOST_SILENCES: Final = 3
"""After so many of them in a row, the API server is taken not to support WatchList."""
LISTING_SECONDS: Final = 3600.0
"""For so long the collection is listed; then WatchList is tried again: the API server may be another one."""
MOST_STALE_ANSWERS: Final = 5
"""After this many answers with an older version, it is accepted, as after a restored backup."""
MOST_LOGGED: Final = 200
"""The most objects about which a problem is logged."""

_OF_VERSION: Final = frozenset({"Expired", "Invalid", "Timeout"})
"""Reasons that speak of the version, whatever the status. ``Timeout``: it is newer than the server's own."""

OnChange = Callable[[str, T | None, T | None], None]


class _Again(Exception):  # noqa: N818 - not an error
    """This round has ended, and the next one must begin."""


class _NoWatchList(Exception):  # noqa: N818 - not an error
    """The API server does not support WatchList: a watch that begins with all present objects."""


class Reflector(Generic[T]):
    """A copy of a collection that follows its changes.

    Args:
        client: to the API server.
        kind: the kind of the objects.
        namespace: the namespace; ``None``: all namespaces.
        label_selector: limits the objects.
        field_selector: limits the objects.
        on_change: called with key, old and new object: ``old`` is ``None`` for a new object, ``new`` is
            ``None`` for a deleted one. For an object that was deleted and created again it is called twice.
            Its exceptions are logged.
        clock: seconds that only grow.
        inactivity_seconds: after a longer silence the connection counts as dead.
        backoff: the waits after failures.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind[T],
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        on_change: OnChange[T] | None = None,
        clock: Callable[[], float] = time.monotonic,
        inactivity_seconds: float = INACTIVITY_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        self._client = client
        self._kind = kind
        self._where: dict[str, Any] = {
            "namespace": namespace,
            "label_selector": label_selector,
            "field_selector": field_selector,
        }
        self._on_change = on_change
        self._clock = clock
        self._inactivity_seconds = inactivity_seconds
        self._backoff = backoff or Backoff()
        self._objects: dict[str, T] = {}
        self._version = ""
        self._newest = ""
        self._listing_until = 0.0
        self._silences = 0
        self._silence: asyncio.Timeout | None = None
        self._stale_answers = 0
        self._refused_versions = 0
        self._synced = asyncio.Event()
        self._logged: set[tuple[str, str]] = set()
        self._broken = True
        self.last_contact: float | None = None
        """When the API server last sent something for this copy: a change, a bookmark, a page."""
        self.heard_seconds = 0.0
        """How long the API server was heard in all: a clock that stands still while the watch is broken, and
        runs on with the next thing that is heard, be it only a bookmark."""

    @property
    def objects(self) -> Mapping[str, T]:
        """The objects by ``namespace/name`` or ``name``. Empty until :attr:`synced`."""
        return self._objects

    @property
    def synced(self) -> bool:
        """Whether the copy has been complete once."""
        return self._synced.is_set()

    @property
    def heard_seconds_now(self) -> float:
        """What :attr:`heard_seconds` is if something is heard now."""
        since = 0.0 if self.last_contact is None or self._broken else self._clock() - self.last_contact
        return self.heard_seconds + since

    async def wait_synced(self) -> None:
        """Wait until the copy has been complete once."""
        await self._synced.wait()

    async def run(self) -> NoReturn:
        """Follow the collection, whatever happens, until cancelled."""
        while True:
            error: Exception | None = None
            try:
                await self._round()
            except (KubeError, _Again) as problem:
                error = problem
                log.info("%s: %s", self._kind.plural, problem)
            except Exception as problem:  # a defect must not stop the watch
                error = problem
                log.exception("%s: the watch begins again", self._kind.plural)
            self._broken = self._broken or error is not None
            await asyncio.sleep(self._backoff.next_seconds(error))

    async def read_once(self) -> None:
        """Read the collection once, without following it. A later :meth:`run` continues from there.

        Raises:
            KubeError: the collection could not be read.
        """
        try:
            await self._fill()
        except _Again as problem:
            raise ApiUnavailable(str(problem)) from problem

    async def _round(self) -> None:
        """Fill the copy if necessary, and follow the changes until the connection ends."""
        try:
            if self._version:
                await self._follow()
            elif self._clock() >= self._listing_until:
                await self._fill_and_follow()
            else:
                await self._fill()
                await self._follow()
        except ApiError as error:
            if self._version and self._is_unusable(error):
                self._version = ""
            raise

    def _is_unusable(self, error: ApiError) -> bool:
        """Whether a watch cannot continue from the last seen version.

        410 means that. Other refusals may mean it, too: after three of them the version is dropped. A server
        in trouble, or a load balancer whose servers are, says nothing about the version.
        """
        if error.status == 410:
            return True
        if error.status in (401, 403, 429) or (error.status >= 500 and error.reason not in _OF_VERSION):
            return False
        self._refused_versions += 1
        return self._refused_versions >= 3

    async def _fill(self) -> None:
        """Fill the copy from a list."""
        filling: dict[str, T] = {}
        version = ""
        async with aclosing(self._client.pages(self._kind, **self._where)) as pages:
            async for page in pages:
                self._touch()
                version = page.resource_version
                filling.update((key_of(one), one) for one in page.items)
                for bad in page.undecodable:
                    self._log_undecodable(bad)
        self._replace(filling, version)

    async def _fill_and_follow(self) -> None:
        """Fill the copy from a watch that begins with all objects (WatchList), or else from a list."""
        try:
            async with aclosing(self._events(send_initial_events=True)) as events:
                await self._collect_all(events)
                async for event in events:
                    self._apply(event)
        except _NoWatchList as problem:
            log.info("%s: without WatchList, listed and then watched: %s", self._kind.plural, problem)
            self._listing_until = self._clock() + LISTING_SECONDS
            await self._fill()
            await self._follow()

    async def _collect_all(self, events: AsyncGenerator[WatchEvent[T], None]) -> None:
        """Collect the present objects, up to the bookmark that marks their end."""
        filling: dict[str, T] = {}
        try:
            # A slow answer, or one that waits for its turn, is no silence: the time begins with its head.
            async with asyncio.timeout(None) as self._silence:
                while (event := await anext(events)).type != "BOOKMARK":
                    self._collect(filling, event)
        except TimeoutError as error:
            self._silences += 1
            silence = f"no event for {INITIAL_SILENCE_SECONDS:g} s"
            raise (_NoWatchList if self._silences >= MOST_SILENCES else _Again)(silence) from error
        except StopAsyncIteration as error:
            raise _Again("the watch ended before all objects had arrived") from error
        except ApiError as error:
            if is_status(error, 400, 422):
                raise _NoWatchList(str(error)) from error
            raise
        finally:
            self._silence = None
        if not event.initial_events_end:
            raise _NoWatchList("the API server does not mark the end of the initial objects")
        self._silences = 0
        self._replace(filling, event.resource_version)

    async def _follow(self) -> None:
        async with aclosing(self._events(resource_version=self._version)) as events:
            async for event in events:
                self._apply(event)

    def _events(self, **how: Any) -> AsyncGenerator[WatchEvent[T], None]:
        return self._client.watch(
            self._kind,
            **self._where,
            **how,
            inactivity_seconds=self._inactivity_seconds,
            on_contact=self._touch,
        )

    def compare(self, first: T | None) -> None:
        """Note that the watch was heard if the collection's first object is the copy's.

        A quiet collection is heard of only by a bookmark a minute; this tells sooner that nothing was missed.

        Args:
            first: an object that was just read otherwise; ``None``: there is none.
        """
        if self._broken or not self.synced:
            return
        own = self._objects.get(key_of(first)) if first is not None else None
        same = not self._objects if first is None else own is not None and _version(own) == _version(first)
        if same:
            self._touch()

    def _touch(self) -> None:
        now = self._clock()
        if self.last_contact is not None and not self._broken:
            self.heard_seconds += now - self.last_contact
        self.last_contact, self._broken = now, False
        if self._silence is not None:
            self._silence.reschedule(asyncio.get_running_loop().time() + INITIAL_SILENCE_SECONDS)

    def _collect(self, filling: dict[str, T], event: WatchEvent[T]) -> None:
        if event.undecodable is not None:
            self._log_undecodable(event.undecodable)
        if event.object is None or event.type == "DELETED":
            filling.pop(event.key, None)
        else:
            filling[event.key] = event.object

    def _replace(self, filling: dict[str, T], version: str) -> None:
        """Replace the whole copy by the objects that were just read."""
        if _is_older(version, self._newest):
            self._stale_answers += 1
            if self._stale_answers < MOST_STALE_ANSWERS:
                raise _Again(f"a stale answer: version {version}, but {self._newest} was seen before")
            log.warning("%s: the API server has gone back to version %s", self._kind.plural, version)
        self._newest = self._version = version
        self._progress()
        for key in [key for key in self._objects if key not in filling]:
            self._put(key, None)
        for key, one in filling.items():
            self._put(key, one)
        self._synced.set()

    def _apply(self, event: WatchEvent[T]) -> None:
        """Apply one change to the copy."""
        version = event.resource_version
        if _is_older(version, self._version):
            if event.type == "BOOKMARK":
                self._version = ""
                raise _Again(f"a bookmark of version {version}, but {self._newest} was seen before")
            return  # replayed history
        if version:
            self._version = self._newest = version
        self._progress()
        if event.type == "BOOKMARK":
            return
        if event.undecodable is not None:
            self._log_undecodable(event.undecodable)
        self._put(event.key, None if event.type == "DELETED" else event.object)

    def _progress(self) -> None:
        self._stale_answers = self._refused_versions = 0
        self._backoff.reset()

    def _put(self, key: str, new: T | None) -> None:
        """Store an object's new state (``None``: deleted), and call `on_change` if it differs."""
        old = self._objects.get(key)
        if new is None:
            if old is not None:
                del self._objects[key]
                self._notify(key, old, None)
            return
        if old is not None and old.metadata.uid != new.metadata.uid:
            del self._objects[key]
            self._notify(key, old, None)
            old = None
        version = new.metadata.resource_version
        if old is not None and version and old.metadata.resource_version == version:
            return
        self._objects[key] = new
        self._notify(key, old, new)

    def _notify(self, key: str, old: T | None, new: T | None) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(key, old, new)
        except Exception:  # a defect of the callback must not stop the watch
            log.exception("%s %s: the change could not be handled", self._kind.kind, key)

    def _log_undecodable(self, bad: Undecodable) -> None:
        """Log a problem once for each object, and for at most :data:`MOST_LOGGED` objects."""
        if (bad.key, bad.uid) not in self._logged and len(self._logged) < MOST_LOGGED:
            self._logged.add((bad.key, bad.uid))
            log.warning("%s %s is left out: %s", self._kind.kind, bad.key or "(unnamed)", bad.problem)


def _version(one: ApiObject) -> str | None:
    return one.metadata.resource_version


def _is_older(version: str, than: str) -> bool:
    if version.isascii() and version.isdigit() and than.isascii() and than.isdigit():
        return int(version) < int(than)
    return False
