"""The proxy before a real API server fails as networks and servers do, when a test says so.

It ends TLS on both sides, so that it knows where requests and answers begin. A client that sends no token has
the rights of the kubeconfig that the proxy was made with. It runs in a thread of its own: tests may block.
"""

import asyncio
import contextlib
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, Literal, Self

import msgspec

from overbook.kube.api.configuration import ClusterConfig, split_server
from overbook.kube.api.credentials import Identity
from overbook.kube.api.find_cluster import load_config
from overbook.kube.api.tls import make_context
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.kubeconfig import write_kubeconfig

EVER: Final = 1_000_000
_LIMIT: Final = 1 << 20
_PIECE: Final = 1 << 14

Act = Literal["answer", "cut", "lose", "truncate", "delay", "silence"]


class Fault(msgspec.Struct):
    """A fault happens to the next requests that match."""

    act: Act
    matching: str
    times: int
    answer: bytes = b""
    number: float = 0.0


class _Cut(Exception):  # noqa: N818 - it is what the proxy does
    """The connection ends here."""


class FaultyProxy:
    """A proxy runs in a thread of its own and has faults injected by a test.

    Args:
        cluster: the control plane behind it.

    Attributes:
        kubeconfig: leads here; without a token it has all rights.
        server: its URL.
        requests: ``METHOD /path?query`` of all that came, in order.
    """

    def __init__(self, cluster: ControlPlane) -> None:
        self._upstream = load_config(cluster.kubeconfig)
        self._address = split_server(self._upstream.server, "server")
        self._as_administrator = make_context(self._upstream, Identity())
        no_certificate = ClusterConfig(
            server=self._upstream.server, ca_data=cluster.pki.authority_pem.decode()
        )
        self._as_itself = make_context(no_certificate, Identity())
        files = cluster.pki.issue_server("faulty-proxy", ["localhost"], ["127.0.0.1"])
        self._server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server_tls.load_cert_chain(*files)
        self._listening: asyncio.Server | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.server = f"https://127.0.0.1:{self.port}"
        self.kubeconfig = os.path.join(cluster.folder, f"proxy-{self.port}.kubeconfig")
        self._authority = cluster.pki.authority_pem
        write_kubeconfig(self.kubeconfig, server=self.server, authority_pem=self._authority, user={})
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="faulty-proxy")

    def config(self, token: str = "") -> ClusterConfig:
        """Return the configuration that reaches the API server through the proxy."""
        return ClusterConfig(server=self.server, ca_data=self._authority.decode(), token=token)

    def __enter__(self) -> Self:
        self._thread.start()
        self._flowing = self._do(_event())
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut_all()
        self._do(_let_tasks_end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def answer(
        self,
        status: int,
        *,
        matching: str = "",
        times: int = 1,
        retry_after: int | None = None,
        reason: str = "",
        message: str = "said the proxy",
        causes: tuple[dict[str, str], ...] = (),
    ) -> None:
        """Answer the next ``times`` matching requests with a Status; the API server does not see them.

        Args:
            status: of HTTP.
            matching: a regular expression, searched in ``METHOD /path?query``.
            times: how many requests.
            retry_after: seconds, as a header and in the Status.
            reason: of the Status.
            message: of the Status.
            causes: ``details.causes`` of the Status.
        """
        details: dict[str, Any] = {"causes": causes} if causes else {}
        if retry_after is not None:
            details["retryAfterSeconds"] = retry_after
        body = json.dumps(
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "code": status,
                "reason": reason,
                "message": message,
                "details": details,
            }
        )
        header = f"Retry-After: {retry_after}\r\n" if retry_after is not None else ""
        fields = f"Content-Type: application/json\r\n{header}Content-Length: {len(body)}"
        whole = f"HTTP/1.1 {status} x\r\n{fields}\r\n\r\n{body}"
        self._add(Fault("answer", matching, times, answer=whole.encode()))

    def lie(
        self, body: bytes, matching: str = "", times: int = 1, *, status: int = 200, kind: str = "text/html"
    ) -> None:
        """Answer matching requests with a body of any kind; the API server does not see them."""
        head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._add(Fault("answer", matching, times, answer=head.encode() + body))

    def cut(self, matching: str = "", times: int = 1) -> None:
        """Close the connection of matching requests; the API server does not see them."""
        self._add(Fault("cut", matching, times))

    def lose_answer(self, matching: str = "", times: int = 1) -> None:
        """Let the API server do what is asked, and close the connection before its answer."""
        self._add(Fault("lose", matching, times))

    def truncate(self, matching: str = "", after_bytes: int = 100, times: int = 1) -> None:
        """Close the connection after so many bytes of the body, chunk sizes included."""
        self._add(Fault("truncate", matching, times, number=after_bytes))

    def delay(self, seconds: float, matching: str = "", times: int = 1) -> None:
        """Let matching requests wait."""
        self._add(Fault("delay", matching, times, number=seconds))

    def silence(self, matching: str = "", times: int = 1) -> None:
        """Let nothing of the answer to matching requests come, and keep the connection."""
        self._add(Fault("silence", matching, times))

    def forget_faults(self) -> None:
        """Inject no more faults."""
        self._faults.clear()

    def stall(self) -> None:
        """Keep every connection, new ones too, and let nothing through."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        """Let all traffic through again, late as it is."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def cut_all(self) -> None:
        """Reset every connection, as a crash would."""
        self._do(self._each(lambda writer: writer.transport.abort()))

    def half_close_all(self) -> None:
        """End the direction to the client of every connection, and leave the other open."""

        def half_close(writer: asyncio.StreamWriter) -> None:
            # A descriptor of its own: asyncio hides the call that it does not know of.
            line = writer.get_extra_info("socket")
            if line is not None and line.fileno() >= 0:  # otherwise it is on its way out already
                with socket.socket(fileno=os.dup(line.fileno())) as own:
                    own.shutdown(socket.SHUT_WR)

        self._do(self._each(half_close))

    def refuse(self) -> None:
        """Refuse new connections, until :meth:`accept`. Those there are stay."""
        self._do(self._stop_listening())

    def accept(self) -> None:
        """Accept connections."""
        self._do(self._listen())

    @property
    def connections(self) -> int:
        """Count the clients' open connections."""
        return len(self._writers)

    def _add(self, fault: Fault) -> None:
        re.compile(fault.matching)
        self._faults.append(fault)

    def _do(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(30)

    async def _each(self, act: Callable[[asyncio.StreamWriter], None]) -> None:
        for writer in list(self._writers):
            with contextlib.suppress(OSError):
                act(writer)

    async def _listen(self) -> None:
        if self._listening is None:
            if self._socket.fileno() < 0:
                self._socket = socket.create_server(("127.0.0.1", self.port))
            self._listening = await asyncio.start_server(
                self._serve, sock=self._socket, ssl=self._server_tls, limit=_LIMIT
            )

    async def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._socket.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        closed = asyncio.ensure_future(writer.wait_closed())
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._flowing.wait()
                fault = self._fault_for(head)
                if fault is not None and fault.act == "answer":
                    writer.write(fault.answer)
                    continue
                if fault is not None and fault.act == "delay":
                    await asyncio.sleep(fault.number)
                if fault is not None and fault.act == "cut":
                    return
                if upstream is None:
                    upstream = await self._connect(head)
                upstream[1].write(head + body)
                await _while_open(closed, self._relay(upstream[0], writer, fault))
        except (OSError, EOFError, _Cut):
            pass
        finally:
            self._writers.discard(writer)
            if upstream is not None:
                upstream[1].transport.abort()
            writer.transport.abort()
            await asyncio.gather(closed, return_exceptions=True)  # the last: it may be cancelled here

    async def _connect(self, head: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        has_token = b"\r\nauthorization:" in head.lower()
        context = self._as_itself if has_token else self._as_administrator
        return await asyncio.open_connection(
            self._address.host, self._address.port, ssl=context, limit=_LIMIT
        )

    def _fault_for(self, head: bytes) -> Fault | None:
        asked = " ".join(head.split(b"\r\n", 1)[0].decode("latin-1").split()[:2])
        self.requests.append(asked)
        for fault in self._faults:
            if fault.times > 0 and re.search(fault.matching, asked):
                fault.times -= 1
                return fault
        return None

    async def _relay(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None
    ) -> None:
        head = await upstream.readuntil(b"\r\n\r\n")
        await self._flowing.wait()
        act = fault.act if fault else ""
        if act == "lose":
            raise _Cut
        if act == "silence":
            await asyncio.Event().wait()
        writer.write(head)
        left = int(fault.number) if fault and act == "truncate" else None
        async for piece in _raw_body(upstream, head):
            await self._flowing.wait()
            writer.write(piece[:left])
            await writer.drain()
            if left is not None:
                left -= len(piece)
                if left <= 0:
                    writer.close()  # in order, so that what was sent arrives
                    raise _Cut


async def _raw_body(upstream: asyncio.StreamReader, head: bytes) -> AsyncIterator[bytes]:
    """A body as it is on the wire, chunk by chunk or piece by piece."""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        size = -1
        while size != 0:
            line = await upstream.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            yield line + await upstream.readexactly(size) + await upstream.readexactly(2)
    elif length:
        remaining = int(length[1])
        while remaining:
            piece = await upstream.read(min(_PIECE, remaining))
            if not piece:
                raise _Cut
            remaining -= len(piece)
            yield piece


async def _event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def _let_tasks_end() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.1)  # what TLS had begun ends in the turns of the loop that follow


async def _while_open(closed: "asyncio.Task[None]", relaying: Coroutine[Any, Any, None]) -> None:
    """Relay until that is done or the client is gone: one that only listens is not noticed by writing."""
    relay = asyncio.ensure_future(relaying)
    try:
        await asyncio.wait((relay, closed), return_when=asyncio.FIRST_COMPLETED)
        if not relay.done():
            raise _Cut
        relay.result()
    finally:
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
