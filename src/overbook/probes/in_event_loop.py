"""The probe server of a component that runs in asyncio's event loop."""

import asyncio
import logging
import select
from collections.abc import Mapping

from overbook.probes.answers import Handler
from overbook.probes.server import MOST_SECONDS, ProbeServer, split_address

log = logging.getLogger(__name__)


class ProbesInEventLoop:
    """Runs a :class:`ProbeServer` in asyncio's event loop.

    Args:
        address: ``host:port``; the host may be in brackets (IPv6) or empty (all).
        handlers: the handlers by path.
        where: the setting that the address is from, for errors.
        example: a valid address, for errors.

    Raises:
        InvalidInput: the address is not valid.
    """

    def __init__(self, address: str, handlers: Mapping[str, Handler], where: str, example: str) -> None:
        split_address(address, where, example)
        self._told = (address, handlers, where, example)
        self._epoll: select.epoll | None = None
        self._server: ProbeServer | None = None
        self._sweep: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to listen.

        Raises:
            InvalidInput: the server cannot listen on the address.
        """
        address, handlers, where, example = self._told
        epoll = select.epoll()
        try:
            self._server = ProbeServer(address, handlers, epoll, where, example)
        except BaseException:
            epoll.close()
            raise
        self._epoll = epoll
        asyncio.get_running_loop().add_reader(epoll.fileno(), self._ready)
        host = address.rpartition(":")[0].strip("[]") or "*"
        log.info("probes and metrics: http, %s, port %d", host, self.port)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        if self._server is None:
            raise RuntimeError("not started")
        return self._server.port

    def close(self) -> None:
        """Stop listening, and close all connections."""
        if self._epoll is None or self._server is None:
            return
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        if self._sweep is not None:
            self._sweep.cancel()
        self._server.close()
        self._epoll.close()
        self._epoll = self._server = None

    def _ready(self) -> None:
        if self._epoll is None or self._server is None:
            return
        now = asyncio.get_running_loop().time()
        for fd, _ in self._epoll.poll(0):
            if self._server.owns(fd):  # one may have gone for another that is in the same list
                self._server.handle(fd, now)
        if self._sweep is None:
            self._expire()

    def _expire(self) -> None:
        """Close slow connections, and check again while there are any connections."""
        self._sweep = None
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        self._server.expire(loop.time())
        if self._server.connections:
            self._sweep = loop.call_later(MOST_SECONDS / 10, self._expire)
