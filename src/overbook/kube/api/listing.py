"""Lists, page by page. The next page is requested while the present one is decoded and used."""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any, Final, Generic

import msgspec

from overbook.core.kubernetes.pod import KubeStruct
from overbook.kube.api.errors import UnexpectedAnswer, is_status
from overbook.kube.api.http import query_string
from overbook.kube.api.kinds import Kind, T, decoder, key_of
from overbook.kube.api.objects import ListMetadata
from overbook.kube.api.transport import ApiRequest, Transport

MOST_RESTARTS = 3
_HEAD_BYTES: Final = 4 << 10
_TOKEN: Final = re.compile(rb'"continue":"([A-Za-z0-9_=-]+)"')


class SeenMetadata(KubeStruct, frozen=True):
    """The metadata that is readable even if the object cannot be decoded."""

    name: str = ""
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    annotations: dict[str, str] | None = None


class SeenObject(KubeStruct, frozen=True):
    """An object of which only the metadata is decoded."""

    metadata: SeenMetadata = SeenMetadata()


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """An object that is not of its kind's type.

    Attributes:
        key: ``namespace/name`` or ``name``; empty if the metadata cannot be decoded either.
        uid: the object's UID.
        problem: the decoder's message.
    """

    key: str
    uid: str
    problem: str


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a list.

    Attributes:
        items: the objects, in the API's order: by namespace and name.
        resource_version: the version of the list.
        undecodable: the objects that are left out.
    """

    items: tuple[T, ...]
    resource_version: str
    undecodable: tuple[Undecodable, ...] = ()


class _List(msgspec.Struct, Generic[T], frozen=True):
    items: tuple[T, ...] | None = None
    metadata: ListMetadata = ListMetadata()
    kind: str = "List"
    api_version: str = msgspec.field(name="apiVersion", default="")


async def pages(
    transport: Transport, kind: Kind[T], path: str, query: tuple[tuple[str, str], ...], limit: int
) -> AsyncGenerator[Page[T], None]:
    """The pages of one consistent list. While a page is used, the next one is requested.

    Raises:
        ApiError: among others 410: the list took too long and has expired.
        ApiUnavailable: there was no answer.
        UnexpectedAnswer: the answer is no list.
    """

    def page_of(token: str) -> "asyncio.Task[bytes]":
        values = (*query, ("limit", str(limit)), ("continue", token))
        return asyncio.create_task(
            transport.call(ApiRequest("GET", path + query_string(values), repeatable=True), patient=True)
        )

    ahead: asyncio.Task[bytes] | None = page_of("")
    try:
        while ahead is not None:
            data = await ahead
            expected = _next_token(data)
            ahead = page_of(expected) if expected else None
            await asyncio.sleep(0)  # send the request before the present page is decoded
            page, token = decode_page(kind, data, f"GET {path}")
            del data
            yield page
            if token != expected:
                await _give_up(ahead)
                ahead = page_of(token) if token else None
    finally:
        await _give_up(ahead)


def _next_token(data: bytes) -> str:
    """The token of the next page, if it comes before the objects, where API servers write it."""
    found = _TOKEN.search(data, 0, _HEAD_BYTES)
    return found[1].decode("ascii", "replace") if found and found.start() < data.find(b'"items"') else ""


async def _give_up(task: "asyncio.Task[bytes] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def decode_page(kind: Kind[T], data: bytes, where: str) -> tuple[Page[T], str]:
    """A page, and the token for the next one; empty after the last page.

    Raises:
        UnexpectedAnswer: the data is no list.
    """
    try:
        whole: _List[T] = decoder(_List[kind.type]).decode(data)  # type: ignore[name-defined] # a type at run time
        _check_list(whole, kind, where)
        return Page(whole.items or (), whole.metadata.resource_version), whole.metadata.continue_
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass  # one bad object is enough for this; below, each is decoded separately
    try:
        raw: _List[msgspec.Raw] = decoder(_List[msgspec.Raw]).decode(data)  # type: ignore[type-var] # undecoded items
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnexpectedAnswer(f"{where}: no list of {kind.kind}: {error}") from error
    _check_list(raw, kind, where)
    items: list[T] = []
    bad: list[Undecodable] = []
    for one in raw.items or ():
        try:
            items.append(kind.decode(one))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            bad.append(undecodable(one, error))
    return Page(tuple(items), raw.metadata.resource_version, tuple(bad)), raw.metadata.continue_


def _check_list(answer: _List[Any], kind: Kind[T], where: str) -> None:
    """Refuse another object, in which nothing would be found: that would count as an empty collection."""
    if answer.api_version not in ("", kind.api_version) or not answer.kind.endswith("List"):
        raise UnexpectedAnswer(f"{where}: no list of {kind.kind}, but {answer.api_version} {answer.kind}")
    if not answer.metadata.resource_version:
        raise UnexpectedAnswer(f"{where}: no list of {kind.kind}: it has no resourceVersion")


def undecodable(data: msgspec.Raw, error: Exception) -> Undecodable:
    """The readable metadata of an object that cannot be decoded, with the problem."""
    try:
        seen: SeenObject = decoder(SeenObject).decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Undecodable("", "", str(error)[:200])
    return Undecodable(key_of(seen), seen.metadata.uid or "", str(error)[:200])


async def objects(
    transport: Transport, kind: Kind[T], path: str, query: tuple[tuple[str, str], ...], limit: int
) -> AsyncGenerator[T, None]:
    """The objects of a list, each once.

    If the list expires in the middle (410), it is requested again, and the objects that were already returned
    are
    skipped: lists are ordered. The rest is then from a later moment.

    Raises:
        ApiError: the API server refused.
        ApiUnavailable: there was no answer.
        UnexpectedAnswer: the answer is no list, or an object is not of the kind's type.
    """
    given = ""
    for restarts in range(MOST_RESTARTS + 1):
        try:
            async for page in pages(transport, kind, path, query, limit):
                _refuse(kind, page.undecodable)
                for one in page.items:
                    key = key_of(one)
                    if key > given:
                        given = key
                        yield one
        except Exception as error:
            if restarts == MOST_RESTARTS or not is_status(error, 410):
                raise
        else:
            return


def _refuse(kind: Kind[T], bad: tuple[Undecodable, ...]) -> None:
    if bad:
        raise UnexpectedAnswer(f"{kind.kind} {bad[0].key}: {bad[0].problem}")
