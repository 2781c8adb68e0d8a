"""The probe server of a component that runs in asyncio's event loop."""

import asyncio
import logging
import select
from collections.abc import Mapping

from overbook.probes.answers import Handler
from overbook.probes.server import MOST_SECONDS, ProbeServer, split_address

log = logging.getLogger(__name__)


class ProbesInEventLoop:
    """Lets asyncio's loop watch a :class:`ProbeServer`.

    Args:
        address: ``host:port``; the host may be in brackets (IPv6) or empty (all).
        handlers: by path.
        where: the setting that the address is from, for errors.
        example: an address that is right.

    Raises:
        InvalidInput: the address is no address.
    """

    def __init__(self, address: str, handlers: Mapping[str, Handler], where: str, example: str) -> None:
        split_address(address, where, example)
        self._told = (address, handlers, where, example)
        self._epoll: select.epoll | None = None
        self._server: ProbeServer | None = None
        self._sweep: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            InvalidInput: the address cannot be listened on.
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
        log.info("probes and metrics: http, %s, port %d", address.rpartition(":")[0] or "*", self.port)

    @property
    def port(self) -> int:
        """The one that is listened on."""
        if self._server is None:
            raise RuntimeError("not started")
        return self._server.port

    def close(self) -> None:
        """Listen no more, and end what is connected."""
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
            self._server.handle(fd, now)
        if self._sweep is None:
            self._expire()

    def _expire(self) -> None:
        """Drop the slow ones, and look again while anybody is connected."""
        self._sweep = None
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        self._server.expire(loop.time())
        if self._server.connections:
            self._sweep = loop.call_later(MOST_SECONDS / 10, self._expire)
