"""A runtime's side of NRI, for tests and benchmarks: it calls the plugin as containerd does."""

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Final, Self

from overbook.nri import multiplex, ttrpc
from overbook.nri.plugin import PLUGIN_SERVICE, SWAP_KEY
from overbook.nri.protobuf import entries, message, messages, put_bytes, put_entries, put_text, text

ANSWER_SECONDS: Final = 30.0


class RuntimeStandIn:
    """A fake runtime that listens for one plugin.

    Args:
        path: the path of the socket, whose folder is made.
        pump: called while waiting for an answer, to let a plugin in this process work.

    Attributes:
        updates: the updates that the plugin sent by itself: container ids and limits, oldest first.
    """

    def __init__(self, path: str, pump: Callable[[], object] = lambda: None) -> None:
        self._path = path
        self._pump = pump
        self._stream = 1
        self._connection: socket.socket | None = None
        self.updates: list[tuple[str, str]] = []
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(path)
        self._listening.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End as a runtime does: remove the socket and disconnect every plugin."""
        if self._connection is not None:
            self._connection.close()
        self._listening.close()
        os.unlink(self._path)

    def accept(self) -> None:
        """Wait for the plugin and register it.

        Raises:
            TimeoutError: no plugin connected.
        """
        self._until(lambda: _readable(self._listening), "no plugin connected")
        if self._connection is not None:
            self._connection.close()
        self._connection, _ = self._listening.accept()
        self._chunks = multiplex.ChunkReader()
        self._calls, self._answers = ttrpc.FrameReader(), ttrpc.FrameReader()
        self._registered = False
        self._results: dict[int, bytes] = {}
        self._process(lambda: self._registered, "the plugin did not register")
        self.call("Configure", put_text(2, "stand-in") + put_text(3, "1.0"))
        self.call("Synchronize", b"")

    def create(self, pod_uid: str, name: str, container_id: str, swap_max: str | None = "0") -> str | None:
        """Call the plugin for a new container and report its creation. Returns its limit, if any."""
        about = container(pod_uid, name, container_id, swap_max)
        answer = self.call("CreateContainer", about)
        self.call("PostCreateContainer", about)
        return entries(message(message(message(answer, 1), 6), 2), 6).get(SWAP_KEY)

    def update(self, pod_uid: str, name: str, container_id: str, swap_max: str) -> str | None:
        """Call the plugin for a container's update. Returns the limit that it sets instead, if any."""
        asked = put_bytes(3, put_entries(6, {SWAP_KEY: swap_max}))
        answer = self.call("UpdateContainer", container(pod_uid, name, container_id, swap_max) + asked)
        return _update_of(message(answer, 1))[1] or None

    def call(self, method: str, payload: bytes) -> bytes:
        """Call the plugin. Returns the answer.

        Raises:
            TimeoutError: the plugin does not answer.
        """
        stream, self._stream = self._stream, self._stream + 2
        request = ttrpc.request(stream, PLUGIN_SERVICE, method, payload)
        self._send(multiplex.PLUGIN, request)
        self._process(lambda: stream in self._results, f"no answer to {method}")
        return self._results.pop(stream)

    def listen(self, until: Callable[[], bool]) -> None:
        """Process the plugin's messages until a condition holds.

        Raises:
            TimeoutError: the condition does not hold in time.
        """
        self._process(until, "the plugin did not send the expected message")

    def _process(self, done: Callable[[], bool], problem: str) -> None:
        def processed() -> bool:
            self._read()
            return done()

        self._until(processed, problem)

    def _until(self, done: Callable[[], bool], problem: str) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while not done():
            self._pump()
            if time.monotonic() > deadline:
                raise TimeoutError(problem)

    def _read(self) -> None:
        assert self._connection is not None  # noqa: S101 - the caller has called `accept`
        if not _readable(self._connection):
            return
        for connection, part in self._chunks.feed(self._connection.recv(1 << 16)):
            if connection == multiplex.PLUGIN:
                for frame in self._answers.feed(part):
                    status, result = ttrpc.parse_response(frame.payload)
                    assert not status.code, status  # noqa: S101 - to a runtime it would be a failed creation
                    self._results[frame.stream] = result
            else:
                for frame in self._calls.feed(part):
                    self._called(frame)

    def _called(self, frame: ttrpc.Frame) -> None:
        called = ttrpc.parse_request(frame.payload)
        if called.method == "RegisterPlugin":
            self._registered = True
        elif called.method == "UpdateContainers":
            self.updates += [_update_of(each) for each in messages(called.payload, 1)]
        self._send(multiplex.RUNTIME, ttrpc.response(frame.stream, b""))

    def _send(self, connection: int, data: bytes) -> None:
        assert self._connection is not None  # noqa: S101 - as above
        self._connection.sendall(multiplex.chunk(connection, data))


def container(pod_uid: str, name: str, container_id: str, swap_max: str | None) -> bytes:
    """The message with a pod and a container, with the other fields that are usual."""
    environment = b"".join(put_text(9, f"SERVICE_{number}_HOST=192.0.2.{number}") for number in range(40))
    mount = put_text(1, "/etc/hosts") + put_text(2, "bind") + put_text(3, "/var/lib/kubelet/pods/x/etc-hosts")
    pod = put_text(1, "sandbox") + put_text(2, "guest") + put_text(3, pod_uid) + put_text(4, "demo")
    pod += put_entries(5, {"app": "guest"}) + put_entries(6, {"kubernetes.io/config.source": "api"})
    unified = put_entries(6, {SWAP_KEY: swap_max}) if swap_max is not None else b""
    whole = put_text(1, container_id) + put_text(2, "sandbox") + put_text(3, name)
    whole += put_text(7, "/usr/bin/guest") + environment + put_bytes(10, mount) * 20
    return put_bytes(1, pod) + put_bytes(2, whole + put_bytes(11, put_bytes(3, unified)))


def _update_of(update: bytes) -> tuple[str, str]:
    return text(update, 1), entries(message(message(update, 2), 1), 6).get(SWAP_KEY, "")


def _readable(what: socket.socket) -> bool:
    return bool(select.select([what], [], [], 0.02)[0])
