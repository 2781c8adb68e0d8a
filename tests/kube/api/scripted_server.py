"""A real server on loopback does to a connection exactly what a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Served:
    """The record of a server counts connections and keeps requests.

    Attributes:
        server: URL.
        connections: how many were made.
        heads: of the requests that :func:`asked` read.
    """

    def __init__(self, server: str) -> None:
        self.server = server
        self.connections = 0
        self.heads: list[str] = []

    async def asked(self, reader: asyncio.StreamReader) -> str:
        """Read a request with its body, and return its head."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        for line in head.splitlines():
            if line.lower().startswith("content-length:"):
                await reader.readexactly(int(line.partition(":")[2]))
        self.heads.append(head)
        return head


@asynccontextmanager
async def serving(
    script: Callable[[Served, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Served]:
    """Run ``script`` on each connection. When it returns the connection is closed."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        served.connections += 1
        with suppress(EOFError, OSError, asyncio.CancelledError):
            await script(served, reader, writer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    served = Served(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield served
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


def answer(body: bytes, status: int = 200, *fields: str) -> bytes:
    """Return an answer with a length."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """Return an answer in chunks."""
    chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + (b"0\r\n\r\n" if end else b"")
