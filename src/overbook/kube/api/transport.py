"""One request to the API server: with credentials, on a kept connection if possible, with a timeout."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from overbook.kube.api.configuration import ClusterConfig, split_server
from overbook.kube.api.connection import Connection, Pool, describe, open_connection
from overbook.kube.api.credentials import Identity, credentials_for
from overbook.kube.api.errors import ApiUnavailable, NotSent, api_error
from overbook.kube.api.http import Body, Head, HttpError, NothingCame, request_bytes
from overbook.kube.api.tls import TlsContexts

MOST_BODY_BYTES: Final = 64 << 20
TURNS: Final = 8
"""The most requests at once, without watches; further ones wait for their turn."""
MOST_PATIENCE_SECONDS: Final = 60.0
"""The longest that a list or a watch is waited for after it has timed out before."""
MOST_REMEMBERED: Final = 64


class ApiRequest(msgspec.Struct, frozen=True):
    """A request to the API server.

    Attributes:
        method: the HTTP method.
        target: path and query, percent-encoded.
        body: JSON.
        content_type: the content type of the body.
        repeatable: sending it twice has the same effect as once, so it may be sent again on a new connection.
    """

    method: str
    target: str
    body: bytes = b""
    content_type: str = ""
    repeatable: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.target.partition('?')[0]}"


class ApiAnswer:
    """A successful answer whose body is still arriving.

    Args:
        request: the request, for messages.
        place: the server, for messages.
        head: the answer's head.
        body: the answer's body.
    """

    def __init__(self, request: ApiRequest, place: str, head: Head, body: Body) -> None:
        self.head = head
        self._prefix = f"{request}: {place}"
        self._body = body

    async def read(self) -> bytes:
        """Read the next piece of the body; empty at its end.

        Raises:
            ApiUnavailable: the body is malformed or ends too early.
        """
        try:
            return await self._body.read()
        except (HttpError, OSError) as error:
            raise ApiUnavailable(f"{self._prefix}: {describe(error)}") from error

    async def whole(self) -> bytes:
        """Read the whole body.

        Raises:
            ApiUnavailable: the body is malformed, too large, or ends too early.
        """
        kept = bytearray()
        while piece := await self.read():
            kept += piece
            if len(kept) > MOST_BODY_BYTES:
                raise ApiUnavailable(f"{self._prefix}: a body of more than {MOST_BODY_BYTES >> 20} MiB")
        return bytes(kept)


class Transport:
    """The transport of requests to one API server.

    Args:
        config: the server's address and the credentials.
        agent_name: the User-Agent, as the API server's audit log and metrics show it.
        timeout_seconds: the limit for a request with its whole answer, and for the wait for its turn.
        turns: the most requests at once, without watches.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        config: ClusterConfig,
        agent_name: str,
        timeout_seconds: float,
        turns: int = TURNS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = split_server(config.server, f"{config.source}: server")
        self.clock = clock
        self.last_answer: float | None = None
        self._config = config
        self._timeout_seconds = timeout_seconds
        self._credentials = credentials_for(config)
        self._tls = TlsContexts(config) if self.address.secure else None
        self._pool = Pool(clock)
        self._turns = asyncio.Semaphore(turns)
        self._timed_out: dict[str, int] = {}
        self._certificate = ""
        self._fields = [
            ("Host", self.address.authority),
            ("User-Agent", agent_name),
            ("Accept", "application/json"),
        ]
        if config.impersonate_user:
            self._fields.append(("Impersonate-User", config.impersonate_user))
            if config.impersonate_uid:
                self._fields.append(("Impersonate-Uid", config.impersonate_uid))
            self._fields += [("Impersonate-Group", group) for group in config.impersonate_groups]

    async def call(self, request: ApiRequest, *, patient: bool = False) -> bytes:
        """Send a request, and wait for the whole answer.

        Args:
            request: the request.
            patient: wait longer each time that the same request has timed out: a list that the API server
                works on is lost when it is given up, and asked for anew.

        Raises:
            ApiError: the API server refused.
            NotSent: other requests took all turns, and this one was not sent.
            ApiUnavailable: there was no answer.
        """
        seconds = self._patience(request) if patient else self._timeout_seconds
        await self._turn(request)
        began = self.clock()
        try:
            async with asyncio.timeout(seconds), self._asked(request) as answer:
                whole = await answer.whole()
        except TimeoutError as error:
            self._pool.drop_idle()  # other connections to this server are suspect, too
            raise self._timeout(request, seconds, patient=patient) from error
        finally:
            self._turns.release()
        self._answered(request, began)
        return whole

    async def _turn(self, request: ApiRequest) -> None:
        """Wait for a turn. The time until the answer begins only then: what was not sent is not answered."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise NotSent(
                f"{request}: not sent: other requests to {self.address.authority} took all turns for "
                f"{self._timeout_seconds:g} s"
            ) from error

    def _patience(self, request: ApiRequest) -> float:
        """The limit for a list or a watch: twice as long each time in a row that it was reached."""
        longer = self._timeout_seconds * (1 << min(self._timed_out.get(_key(request), 0), 10))
        return max(self._timeout_seconds, min(MOST_PATIENCE_SECONDS, longer))

    def _answered(self, request: ApiRequest, began: float) -> None:
        """Shorten the limit again, by one step while the answers still need more than the first one."""
        left = self._timed_out.pop(_key(request), 1) - 1
        if left > 0 and self.clock() - began > self._timeout_seconds:
            self._timed_out[_key(request)] = left

    def _timeout(self, request: ApiRequest, seconds: float, *, patient: bool) -> ApiUnavailable:
        if patient:
            if len(self._timed_out) >= MOST_REMEMBERED:
                self._timed_out.clear()
            self._timed_out[_key(request)] = self._timed_out.get(_key(request), 0) + 1
        return ApiUnavailable(f"{request}: {self.address.authority} did not answer within {seconds:g} s")

    @asynccontextmanager
    async def stream(self, request: ApiRequest) -> AsyncIterator[ApiAnswer]:
        """Send a request, and yield the answer whose body arrives bit by bit. Only the head has a timeout.

        The timeout grows while the same request times out again and again, as that of a patient :meth:`call`.

        Raises:
            ApiError: the API server refused.
            ApiUnavailable: there was no answer.
        """
        head_came = False
        seconds, began = self._patience(request), self.clock()
        try:
            async with asyncio.timeout(seconds) as limit, self._asked(request) as answer:
                head_came = True
                self._answered(request, began)
                limit.reschedule(None)
                yield answer
        except TimeoutError as error:
            if head_came:
                raise
            raise self._timeout(request, seconds, patient=True) from error

    async def close(self) -> None:
        """Close every connection, and let the event loop process that."""
        self._pool.drop_all()
        await asyncio.sleep(0)

    @asynccontextmanager
    async def _asked(self, request: ApiRequest) -> AsyncIterator[ApiAnswer]:
        """The answer to a request, if successful; after 401, tried once more with new credentials."""
        for last in (False, True):
            identity = await self._credentials.current()
            connection, head = await self._exchange(request, identity)
            self.last_answer = self.clock()
            try:
                answer = ApiAnswer(request, self.address.authority, head, connection.body(head))
                if head.status < 300:
                    yield answer
                    return
                refusal = api_error(str(request), head, await answer.whole())
            except HttpError as error:
                raise self._unavailable(request, error) from error
            finally:
                self._pool.give_back(connection)
            if last or head.status != 401 or not self._credentials.refused(identity):
                raise refusal

    async def _exchange(self, request: ApiRequest, identity: Identity) -> tuple[Connection, Head]:
        fields = list(self._fields)
        if identity.token:
            fields.append(("Authorization", f"Bearer {identity.token}"))
        if request.content_type:
            fields.append(("Content-Type", request.content_type))
        while True:
            connection = await self._connection(identity)
            try:
                return connection, await connection.ask(
                    request_bytes(request.method, request.target, fields, request.body)
                )
            except (HttpError, OSError) as error:
                self._pool.give_back(connection)
                # The server may close a kept connection just when it is used again.
                closed = isinstance(error, NothingCame | ConnectionError)
                if not (closed and connection.idle_since is not None and request.repeatable):
                    raise self._unavailable(request, error) from error
                self._pool.drop_idle()
            except BaseException:
                self._pool.give_back(connection)
                raise

    def _unavailable(self, request: ApiRequest, error: Exception) -> ApiUnavailable:
        return ApiUnavailable(f"{request}: {self.address.authority}: {describe(error)}")

    async def _connection(self, identity: Identity) -> Connection:
        if identity.certificate != self._certificate:
            self._pool.drop_idle()
            self._certificate = identity.certificate
        connection = self._pool.take()
        if connection is None:
            context = self._tls.current(identity) if self._tls else None
            connection = await open_connection(self.address, context, self._config.tls_server_name)
            self._pool.add(connection)
        return connection


def _key(request: ApiRequest) -> str:
    """The requests that count as the same: the version that a watch continues from does not matter."""
    return str(request)
