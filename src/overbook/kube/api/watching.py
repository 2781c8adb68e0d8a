"""One watch request: the bytes of an endless answer, decoded into events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final, Generic, Literal

import msgspec

from overbook.kube.api.errors import ApiUnavailable, Status, UnexpectedAnswer, error_of_status
from overbook.kube.api.kinds import Kind, T, decoder, key_of
from overbook.kube.api.listing import SeenMetadata, SeenObject, Undecodable, undecodable
from overbook.kube.api.transport import ApiRequest, Transport

INACTIVITY_SECONDS: Final = 100.0
"""A connection silent for longer counts as dead: the API server sends a bookmark about once a minute."""
MOST_LINE_BYTES: Final = 16 << 20
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


class WatchEvent(msgspec.Struct, Generic[T], frozen=True):
    """A change of an object, or a ``BOOKMARK``: there are no more changes up to this version.

    Attributes:
        type: the kind of change.
        key: ``namespace/name`` or ``name``; empty for a bookmark.
        resource_version: the version up to which the watcher has now seen all changes.
        object: the present state, or (``DELETED``) the last one; ``None``: a bookmark, or not decodable.
        undecodable: why there is no object.
        initial_events_end: this bookmark marks the end of the initial objects.
    """

    type: EventType
    key: str
    resource_version: str
    object: T | None = None
    undecodable: Undecodable | None = None
    initial_events_end: bool = False


class _Line(msgspec.Struct, frozen=True, gc=False):
    type: str
    object: msgspec.Raw


class LineSplitter:
    """A splitter of incoming pieces of bytes into lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def rest_bytes(self) -> int:
        """The size of the unfinished line."""
        return len(self._rest)

    def feed(self, piece: bytes) -> list[bytes]:
        """Add a piece and return the lines that are now complete, without line ends.

        Raises:
            UnexpectedAnswer: a line is too long.
        """
        head, newline, tail = piece.rpartition(b"\n")
        if not newline:
            self._rest += piece
            if len(self._rest) > MOST_LINE_BYTES:
                raise UnexpectedAnswer(f"a watch event of more than {MOST_LINE_BYTES >> 20} MiB")
            return []
        lines = head.split(b"\n")
        if self._rest:
            lines[0] = bytes(self._rest) + lines[0]
        self._rest = bytearray(tail)
        return [line for line in lines if line.strip()]


async def watch_events(
    transport: Transport,
    kind: Kind[T],
    target: str,
    *,
    inactivity_seconds: float,
    on_contact: Callable[[], None] | None = None,
) -> AsyncGenerator[WatchEvent[T], None]:
    """The events of one watch request, until the API server ends it.

    Args:
        transport: the transport to the API server.
        kind: the kind of the objects.
        target: path and query.
        inactivity_seconds: after a longer silence the connection counts as dead.
        on_contact: called whenever data arrives.

    Raises:
        ApiError: the API server refused, or the watch ended with an error: 410 means that the version is too
            old.
        ApiUnavailable: there was no answer, it was cut off, or it was silent for too long.
        UnexpectedAnswer: the data is no event.
    """
    request = ApiRequest("GET", target, repeatable=True)
    lines = LineSplitter()
    async with transport.stream(request) as answer:
        while True:
            if on_contact is not None:
                on_contact()
            try:
                async with asyncio.timeout(inactivity_seconds):
                    piece = await answer.read()
            except TimeoutError as error:
                raise ApiUnavailable(
                    f"{request}: {transport.address.authority} was silent for {inactivity_seconds:g} s"
                ) from error
            if not piece:
                if on_contact is not None and not lines.rest_bytes:
                    on_contact()  # a watch that the API server ends was heard until its end
                break
            for line in lines.feed(piece):
                yield decode_event(kind, line, request)
    if lines.rest_bytes:
        raise ApiUnavailable(f"{request}: the answer ended within an event")


def decode_event(kind: Kind[T], line: bytes, request: ApiRequest) -> WatchEvent[T]:
    """Decode one line of a watch.

    Raises:
        ApiError: the line is an ``ERROR`` event.
        UnexpectedAnswer: the line is no event.
    """
    try:
        event: _Line = _LINE_DECODER.decode(line)
        if event.type == "ERROR":
            status: Status = decoder(Status).decode(event.object)
            raise error_of_status(str(request), status.code or 500, status)
        if event.type == "BOOKMARK":
            seen = _seen(event.object)
            return WatchEvent(
                "BOOKMARK",
                "",
                seen.resource_version or "",
                initial_events_end=(seen.annotations or {}).get(_INITIAL_EVENTS_END) == "true",
            )
        type_ = _TYPES[event.type]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise UnexpectedAnswer(f"{request}: no watch event: {str(error)[:200]}") from error
    try:
        one = kind.decode(event.object)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        bad = undecodable(event.object, error)
        return WatchEvent(type_, bad.key, _version_of(event.object), undecodable=bad)
    return WatchEvent(type_, key_of(one), one.metadata.resource_version or "", object=one)


def _seen(data: msgspec.Raw) -> SeenMetadata:
    seen: SeenObject = decoder(SeenObject).decode(data)
    return seen.metadata


def _version_of(data: msgspec.Raw) -> str:
    try:
        return _seen(data).resource_version or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


_LINE_DECODER = msgspec.json.Decoder(_Line)
_TYPES: Final[dict[str, EventType]] = {"ADDED": "ADDED", "MODIFIED": "MODIFIED", "DELETED": "DELETED"}
