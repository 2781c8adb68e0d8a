"""A plugin of the Node Resource Interface (NRI): it tells a runtime what a new container may swap.

No I/O here: bytes from the runtime go in, bytes for it come out. The plugin always fails open: a runtime
drops a plugin that breaks the protocol, but an error as an answer makes the container's creation fail. So
whatever goes wrong in here, the answer is "no adjustment". Source: containerd/nri 0.12, ``api.proto``.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final, NamedTuple

from overbook.core.say_once import SayOnce
from overbook.nri import multiplex, ttrpc
from overbook.nri.protobuf import (
    as_text,
    entries,
    integer,
    last_fields,
    message,
    put_bytes,
    put_entries,
    put_integer,
    put_text,
    text,
)

log = logging.getLogger(__name__)

SWAP_KEY: Final = "memory.swap.max"
PLUGIN_NAME: Final = "overbook-swap"
PLUGIN_INDEX: Final = "90"
"""Plugins are called in ascending order: late enough to see what the others set."""
PLUGIN_SERVICE: Final = "nri.pkg.api.v1alpha1.Plugin"
RUNTIME_SERVICE: Final = "nri.pkg.api.v1alpha1.Runtime"

_CREATE, _POST_CREATE, _UPDATE = 4, 5, 8
"""Of NRI's ``Event``: the ones asked for. A bit that a runtime does not know would end the registration."""
EVENTS: Final = sum(1 << (event - 1) for event in (_CREATE, _POST_CREATE, _UPDATE))
FAILED_CREATIONS: Final = 2
"""Of one container in a row, after which its key is left to whoever else sets it."""
MOST_UNFINISHED: Final = 1024
MOST_REMEMBERED: Final = 1024
"""Containers; a node runs a few hundred."""


class ContainerKey(NamedTuple):
    """A container by its pod's UID and its name."""

    pod_uid: str
    name: str


Allowance = Callable[[ContainerKey], int | None]
"""What a container may swap, in bytes, a whole number of pages; ``None``: nothing is known of it."""


class Created(NamedTuple):
    """What a runtime says of a container."""

    key: ContainerKey
    label: str
    id: str
    swap_max: str | None


class PluginMemory:
    """What is remembered from one connection to the next."""

    def __init__(self) -> None:
        self.before: dict[str, int | None] = {}
        """What a container that got its limit from us would have had, by its id; ``None``: no limit."""
        self.others: dict[str, None] = {}
        """Ids of the containers whose key somebody else sets."""
        self.adjusted = 0
        """Containers that got their limit before they started, for the metrics."""
        self.kept = 0
        """Updates by others in which our limit was kept."""
        self.left_alone = 0
        """Times that a key was left to somebody else."""

    @property
    def full(self) -> bool:
        """Whether it is time to forget containers that are gone."""
        return max(len(self.before), len(self.others)) >= MOST_REMEMBERED

    def forget(self, held: Collection[str]) -> None:
        """Forget containers that are gone; the newest may not be held yet."""
        for remembered in (self.before, self.others):
            if len(remembered) >= MOST_REMEMBERED:
                newest = set(list(remembered)[-MOST_REMEMBERED // 8 :])
                for gone in [each for each in remembered if each not in held and each not in newest]:
                    del remembered[gone]


class NriPlugin:
    """One connection's state.

    Args:
        allowance: asked for each container; it has to be quick.
        memory: of the connections before this one; ``None``: there was none.
    """

    def __init__(self, allowance: Allowance, memory: PluginMemory | None = None) -> None:
        self._allowance = allowance
        self.memory = memory or PluginMemory()
        self._chunks = multiplex.ChunkReader()
        self._calls = ttrpc.FrameReader()
        self._answers = ttrpc.FrameReader()
        self._stream = 1
        self._unfinished: dict[ContainerKey, int] = {}
        self._complaints = SayOnce(partial(log.warning, "NRI: %s"), most=MOST_UNFINISHED)
        self.runtime = ""
        """Name and version of the runtime, once it has configured us."""
        self.registered = False

    def register(self) -> bytes:
        """What to send first. The runtime may call before it answers this."""
        wanted = put_text(1, PLUGIN_NAME) + put_text(2, PLUGIN_INDEX)
        return self._call("RegisterPlugin", wanted)

    def update(self, limits: Mapping[str, int]) -> bytes:
        """What to send to change running containers, so that the runtime's own record changes too.

        Args:
            limits: in bytes, by the containers' ids.
        """
        updates = b"".join(
            put_bytes(1, _update(id_, swap_max_bytes)) for id_, swap_max_bytes in limits.items()
        )
        return self._call("UpdateContainers", updates)

    def received(self, data: bytes) -> bytes:
        """Take in what the runtime sent; returns what to answer.

        Raises:
            WireError: it does not speak the protocol; the connection is of no more use.
        """
        answer = b""
        for connection, part in self._chunks.feed(data):
            if connection == multiplex.PLUGIN:
                for frame in self._calls.feed(part):
                    if frame.kind == ttrpc.REQUEST:
                        answer += multiplex.chunk(multiplex.PLUGIN, self._answer(frame))
            elif connection == multiplex.RUNTIME:
                for frame in self._answers.feed(part):
                    self._answered(frame)
        return answer

    def _call(self, method: str, payload: bytes) -> bytes:
        stream, self._stream = self._stream, self._stream + 2
        return multiplex.chunk(multiplex.RUNTIME, ttrpc.request(stream, RUNTIME_SERVICE, method, payload))

    def _answered(self, frame: ttrpc.Frame) -> None:
        if frame.kind != ttrpc.RESPONSE:
            return
        status, _ = ttrpc.parse_response(frame.payload)
        if status.code:
            self._complain(f"the runtime refused: {status.text} (code {status.code})")
        elif frame.stream == 1:
            self.registered = True

    def _answer(self, frame: ttrpc.Frame) -> bytes:
        called = ttrpc.parse_request(frame.payload)
        handler = _HANDLERS.get(called.method) if called.service == PLUGIN_SERVICE else None
        if handler is None:
            status = ttrpc.RpcStatus(ttrpc.UNIMPLEMENTED, f"{called.service}/{called.method} is not there")
            return ttrpc.response(frame.stream, b"", status)
        try:
            payload = handler(self, called.payload)
        except Exception as error:  # noqa: BLE001 - an error in the answer would keep the container from starting
            self._complain(f"{called.method} is answered without an adjustment: {error!r}")
            payload = b""
        return ttrpc.response(frame.stream, payload)

    def _on_configure(self, payload: bytes) -> bytes:
        self.runtime = f"{text(payload, 2)} {text(payload, 3)}".strip()
        log.info("NRI: %s asks us about new containers", self.runtime)
        return put_integer(2, EVENTS)

    def _on_synchronize(self, payload: bytes) -> bytes:
        """What runs already is the reconciler's; the list may come in parts."""
        return put_integer(2, integer(payload, 3))

    def _on_create(self, payload: bytes) -> bytes:
        created = _created(payload)
        wanted = self._wanted(created)
        if wanted is None:
            return b""
        attempts = self._unfinished.pop(created.key, 0) + 1
        if attempts > FAILED_CREATIONS:
            self._leave(
                created,
                f"{created.label} was not created {FAILED_CREATIONS} times in a row with our {SWAP_KEY}; "
                "another plugin sets it too, and it is left to that one",
            )
            return b""
        if len(self._unfinished) < MOST_UNFINISHED:
            self._unfinished[created.key] = attempts
        self.memory.adjusted += 1
        if len(self.memory.before) < 2 * MOST_REMEMBERED:
            self.memory.before[created.id] = None if created.swap_max is None else 0
        log.info("NRI: %s starts with %s %d", created.label, SWAP_KEY, wanted)
        return put_bytes(1, put_bytes(6, put_bytes(2, _resources(wanted))))

    def _on_created(self, payload: bytes) -> bytes:
        self._unfinished.pop(_created(payload).key, None)
        return b""

    def _on_update(self, payload: bytes) -> bytes:
        """The kubelet changes a container: it sends its own limit along, which would undo ours."""
        created = _created(payload)
        asked = entries(message(payload, 3), 6).get(SWAP_KEY)
        wanted = self._wanted(created._replace(swap_max=asked))
        if wanted is None:
            return b""
        self.memory.kept += 1
        log.info("NRI: %s keeps %s %d", created.label, SWAP_KEY, wanted)
        return put_bytes(1, _update(created.id, wanted))

    def _wanted(self, created: Created) -> int | None:
        """The limit to set, unless nothing is known of the container or somebody else has set another one."""
        wanted = self._allowance(created.key)
        if wanted is None or created.swap_max == str(wanted) or created.id in self.memory.others:
            return None
        if created.swap_max not in {None, "0"}:
            # 0 is the kubelet's NoSwap. Anything else was put there by LimitedSwap or another plugin.
            self._leave(
                created,
                f"{SWAP_KEY} of {created.label} is {created.swap_max} by the kubelet's LimitedSwap or "
                "another plugin; it is left to that one",
            )
            return None
        return wanted

    def _leave(self, created: Created, complaint: str) -> None:
        """Somebody else sets this container's key: nobody here writes it any more."""
        self.memory.left_alone += 1
        if len(self.memory.others) < 2 * MOST_REMEMBERED:
            self.memory.others[created.id] = None
        self.memory.before.pop(created.id, None)
        self._complain(complaint)

    def _complain(self, complaint: str) -> None:
        """Say it once, ever."""
        self._complaints(complaint, about=complaint)


_HANDLERS: Final[dict[str, Callable[[NriPlugin, bytes], bytes]]] = {
    "Configure": NriPlugin._on_configure,  # noqa: SLF001 - a table of this module's own methods
    "Synchronize": NriPlugin._on_synchronize,  # noqa: SLF001 - as above
    "CreateContainer": NriPlugin._on_create,  # noqa: SLF001 - as above
    "PostCreateContainer": NriPlugin._on_created,  # noqa: SLF001 - as above
    "UpdateContainer": NriPlugin._on_update,  # noqa: SLF001 - as above
    "Shutdown": lambda _plugin, _payload: b"",
    "StateChange": lambda _plugin, _payload: b"",
}


def _created(payload: bytes) -> Created:
    pod, container = (last_fields(message(payload, number)) for number in (1, 2))
    name = as_text(container.get(3))
    linux = container.get(11, b"")
    resources = message(linux, 3) if isinstance(linux, bytes) else b""
    return Created(
        key=ContainerKey(as_text(pod.get(3)), name),
        label=f"{as_text(pod.get(4))}/{as_text(pod.get(2))}/{name}",
        id=as_text(container.get(1)),
        swap_max=entries(resources, 6).get(SWAP_KEY),
    )


def _resources(swap_max_bytes: int) -> bytes:
    return put_entries(6, {SWAP_KEY: str(swap_max_bytes)})


def _update(container_id: str, swap_max_bytes: int) -> bytes:
    return (
        put_text(1, container_id)
        + put_bytes(2, put_bytes(1, _resources(swap_max_bytes)))
        + put_integer(3, 1)  # a container that is gone by now is no failure
    )
