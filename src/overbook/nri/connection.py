"""The plugin's connection to the runtime, in the agent's event loop. It never blocks, and reconnects."""

import itertools
import logging
import os
import select
import socket
import stat
from functools import partial
from typing import Final

from overbook.core.say_once import SayOnce
from overbook.nri.plugin import Allowance, NriPlugin, PluginMemory
from overbook.nri.protobuf import WireError

log = logging.getLogger(__name__)

NRI_SOCKETS: Final = ("run/nri/nri.sock", "var/run/nri/nri.sock")
"""The paths of the runtime's socket below the host's root; usually both are the same folder."""
RETRY_SECONDS: Final = 5.0
SOON_SECONDS: Final = 1.0
"""The wait after a connection that worked, because a restarted runtime is back soon."""
MOST_UNSENT_BYTES: Final = 8 << 20
MOST_UPDATES: Final = 4
"""The most containers in one request: the runtime starts a program for each, and does nothing else then."""
MOST_WAITING: Final = 1024
_READ_BYTES: Final = 1 << 16


def nri_socket(root: str = "/") -> str:
    """The path of the runtime's socket on the host; empty if there is none."""
    for path in NRI_SOCKETS:
        try:
            if stat.S_ISSOCK(os.stat(os.path.join(root, path)).st_mode):
                return f"/{path}"
        except OSError:
            continue
    return ""


class NriSocket:
    """A connection that keeps a plugin registered with the runtime.

    Args:
        path: the runtime's socket.
        allowance: returns a container's allowance.
        epoll: the loop that reports readiness; :meth:`handle` is called for a descriptor that :meth:`owns`.
    """

    def __init__(self, path: str, allowance: Allowance, epoll: select.epoll) -> None:
        self._path = path
        self._allowance = allowance
        self._epoll = epoll
        self._socket: socket.socket | None = None
        self._unsent = bytearray()
        self._next_try = 0.0
        self._complain = SayOnce(partial(log.info, "NRI: %s"))
        self._waiting: dict[str, int] = {}
        self.memory = PluginMemory()
        self.plugin: NriPlugin | None = None
        """The plugin of the present connection."""
        self.connections = 0
        """Connections made since the start, for the metrics."""

    def owns(self, fd: int) -> bool:
        """Whether a descriptor belongs to this connection."""
        return self._socket is not None and self._socket.fileno() == fd

    @property
    def connected(self) -> bool:
        """Whether the runtime has registered the plugin."""
        return self.plugin is not None and self.plugin.registered

    def tick(self, now: float) -> None:
        """Send waiting updates; connect if there is no connection and a retry is due."""
        if self._socket is not None:
            self._send_waiting()
            return
        if now < self._next_try:
            return
        self._next_try = now + RETRY_SECONDS
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            made.connect(self._path)
        except OSError as error:
            made.close()
            self._complain(f"{self._path}: {error.strerror}; new containers get their limit after they start")
            return
        self._socket = made
        self.connections += 1
        self.plugin = NriPlugin(self._allowance, self.memory)
        self._epoll.register(made, select.EPOLLIN)
        self._send(self.plugin.register())

    def handle(self, now: float) -> None:
        """Handle a ready descriptor: read, answer, and write pending data."""
        if self._socket is None or self.plugin is None:
            return
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            self._flush()
            return
        except OSError as error:
            self._drop(now, error.strerror or str(error))
            return
        if not data:
            self._drop(now, "closed by the runtime")
            return
        try:
            self._send(self.plugin.received(data))
        except WireError as error:
            self._drop(now, str(error))

    def update(self, container_id: str, swap_max_bytes: int) -> None:
        """Queue a running container's new limit for the runtime, so that the runtime does not undo it."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting[container_id] = swap_max_bytes

    def close(self) -> None:
        """End the connection; the runtime forgets the plugin."""
        if self._socket is not None:
            self._epoll.unregister(self._socket)
            self._socket.close()
            self._socket = None
        self.plugin = None
        self._unsent.clear()

    def _send_waiting(self) -> None:
        if self._waiting and self.plugin is not None and self.plugin.registered:
            some = dict(itertools.islice(self._waiting.items(), MOST_UPDATES))
            for container_id in some:
                del self._waiting[container_id]
            self._send(self.plugin.update(some))

    def _send(self, data: bytes) -> None:
        if len(self._unsent) + len(data) > MOST_UNSENT_BYTES:
            log.warning("NRI: the runtime does not read; connecting again")
            self.close()
            return
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            return
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return  # the next read reports the error
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._epoll.modify(self._socket, wanted)

    def _drop(self, now: float, reason: str) -> None:
        self.close()
        self._next_try = now + SOON_SECONDS
        log.warning("NRI: the connection ended (%s)", reason)
