"""A connection with TLS, from the moment that it is accepted.

TLS runs in memory here, not in the event loop's own transport: that one counts a connection only after the
handshake, takes 256 KiB for each, and goes on decrypting what nobody can answer yet.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from overbook.webhook.http_protocol import Connections, HttpProtocol

MOST_HANDSHAKE_BYTES: Final = 64 << 10
"""The most bytes of a handshake; a client's certificate with its chain takes about 5 KiB."""
_PIECE_BYTES: Final = 16 << 10
_UNSENT_BYTES: Final = 64 << 10


class Listener(Connections, Protocol):
    """The part of the server that its connections use."""

    def opened(self, connection: "TlsConnection", peer: str) -> None:
        """Count a new connection."""
        ...

    def closed(self, connection: "TlsConnection") -> None:
        """Forget a closed connection."""
        ...


class TlsConnection(asyncio.Protocol):
    """One connection.

    Args:
        server: the connection's server.
        context: the TLS context with the server's certificate.

    Attributes:
        http: the requests on this connection; ``None`` until the handshake is complete.
        opened_at: when the connection was accepted, by the server's clock.
        stalled: whether the client does not read its answers.
    """

    def __init__(self, server: Listener, context: ssl.SSLContext) -> None:
        self._server = server
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: asyncio.Transport | None = None
        self._handshake_bytes = 0
        self._unsent_bytes = 0
        self._unread_bytes = 0
        self._ended = False
        self._paused = False
        self._queued = False
        self.http: HttpProtocol | None = None
        self.opened_at = server.clock()
        self.stalled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES)
        address = transport.get_extra_info("peername")
        self._server.opened(self, str(address[0]) if address else "")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why does not matter
        """See :class:`asyncio.Protocol`."""
        self._transport = None
        self._forget()
        if self.http is not None:
            self.http.lost()
            self.http = None  # the two refer to each other, and would stay until the next garbage collection
        self._server.closed(self)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._transport is None or (self.http is not None and self.http.state == "Refused"):
            return  # what follows a refused request is not even decrypted
        self._incoming.write(data)
        if self.http is None:
            self._handshake_bytes += len(data)
        self.read()

    def eof_received(self) -> bool:
        """Close, unless an answer is to be sent first. Returns whether the connection stays open."""
        self._ended = True
        return self.stalled or self.waits

    def pause_writing(self) -> None:
        """Stop reading requests until the client reads its answers."""
        self.stalled = True
        self._pause()

    def resume_writing(self) -> None:
        """See :meth:`pause_writing`."""
        self.stalled = False
        self._release()
        self.read()

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn, to be read or to be answered."""
        return self._queued or (self.http is not None and self.http.state == "Waiting")

    def read(self, *, in_turn: bool = False) -> None:
        """Read what has been received, until there is a request that cannot be answered at once.

        Args:
            in_turn: whether it is this connection's turn, so that it reads at least one piece.
        """
        while self._may_read(in_turn=in_turn):
            in_turn = False
            more = self._shake_hands() if self.http is None else self._read_piece(self.http)
            if not more:
                break
        else:
            return
        if self._ended:
            self.close()
        else:
            self._resume()

    def _may_read(self, *, in_turn: bool) -> bool:
        """Whether to read on now. If not, either this is called again later, or nothing is to be read."""
        if self._transport is None:
            return False
        if self.http is not None and self.http.state == "Refused":
            self._resume()  # what comes is discarded: if it were left, the answer would be lost with it
            return False
        if not (self.stalled or self.waits or in_turn) and self._incoming.pending and self._server.is_busy():
            self._queued = True
            self._server.later(self, self._incoming.pending, self._read_in_turn)
        if self.stalled or self.waits:
            self._wait()
            return False
        if self._unread_bytes:
            self._server.hold(self, -self._unread_bytes)
            self._unread_bytes = 0
        return True

    def _read_piece(self, http: HttpProtocol) -> bool:
        """Read some kilobytes. Returns whether there may be more."""
        try:
            piece = self._tls.read(_PIECE_BYTES)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            self.abort()
            return False
        if not piece:
            self.close()
            return False
        http.receive(piece)
        self._send()
        return True

    def write(self, data: bytes) -> None:
        """Encrypt data; it is sent with the rest of what the present event leads to."""
        try:
            self._tls.write(data)
        except ssl.SSLError:  # the client has closed its side
            self.abort()

    def flush(self) -> None:
        """Send what has been written, and read on."""
        self._send()
        self.read()

    def close(self) -> None:
        """Close the connection after all data is sent."""
        transport = self._transport
        if transport is None:
            return
        self._on_tls(self._tls.unwrap)  # the client's answer to this is not waited for
        self._send()
        if self.http is not None:
            self.http.ignore()
        transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._release()
        self._forget()
        if self._transport is not None:
            self._transport.abort()

    @property
    def has_unsent(self) -> bool:
        """Whether a part of an answer is not sent yet."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def _read_in_turn(self) -> None:
        self._queued = False
        self.read(in_turn=True)

    def _shake_hands(self) -> bool:
        """Go on with the handshake. Returns whether it is complete."""
        if not self._on_tls(self._tls.do_handshake):
            if self._handshake_bytes > MOST_HANDSHAKE_BYTES:
                self.abort()
            return False
        self.http = HttpProtocol(self._server, self)
        return True

    def _on_tls(self, step: Callable[[], object]) -> bool:
        """Take a step of TLS and send what it says. Returns whether it is complete; an error closes."""
        try:
            step()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError:
            self._send()  # an alert says what was wrong
            if self._transport is not None:
                self._transport.close()
            return False
        self._send()
        return True

    def _send(self) -> None:
        if self._transport is None or not self._outgoing.pending:
            return
        self._transport.write(self._outgoing.read())
        left = self._transport.get_write_buffer_size()
        if left > _UNSENT_BYTES and not self._unsent_bytes:
            if self._server.hold(self, left):
                self._unsent_bytes = left
            else:
                self.abort()

    def _forget(self) -> None:
        """Wait for nothing any more, and keep nothing that was received."""
        self._queued = False
        self._incoming.read()
        if self.http is not None:
            self.http.ignore()

    def _release(self) -> None:
        if self._unsent_bytes:
            self._server.hold(self, -self._unsent_bytes)
            self._unsent_bytes = 0

    def _wait(self) -> None:
        """Take nothing more from the kernel; what was taken already counts as held."""
        self._pause()
        pending = self._incoming.pending
        if pending > _PIECE_BYTES and not self._unread_bytes:
            if self._server.hold(self, pending):
                self._unread_bytes = pending
            else:
                self.abort()

    def _resume(self) -> None:
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()
