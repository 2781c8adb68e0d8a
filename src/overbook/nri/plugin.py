"""A plugin of the Node Resource Interface (NRI) that gives a runtime the swap limit of each new container.

This module does no I/O: bytes from the runtime go in, bytes for the runtime come out. The plugin always fails
open: an error as an answer would make the container's creation fail, so after any error the answer is "no
adjustment". (A runtime drops a plugin that breaks the protocol.) Source: containerd/nri 0.12, ``api.proto``.
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
"""The place of the plugin: plugins are called in ascending order, and this one must see what others set."""
PLUGIN_SERVICE: Final = "nri.pkg.api.v1alpha1.Plugin"
RUNTIME_SERVICE: Final = "nri.pkg.api.v1alpha1.Runtime"

_CREATE, _POST_CREATE, _UPDATE = 4, 5, 8
"""The requested events of NRI's ``Event``. A bit that a runtime does not know fails the registration."""
EVENTS: Final = sum(1 << (event - 1) for event in (_CREATE, _POST_CREATE, _UPDATE))
FAILED_CREATIONS: Final = 2
"""After this many failed creations in a row, a container's key is left to the other writer of it."""
MOST_UNFINISHED: Final = 1024
MOST_REMEMBERED: Final = 1024
"""The most remembered containers; a node runs a few hundred."""


class ContainerKey(NamedTuple):
    """The identity of a container: its pod's UID and its name."""

    pod_uid: str
    name: str


Allowance = Callable[[ContainerKey], int | None]
"""Returns a container's allowance in bytes, a whole number of pages; ``None`` for an unknown container."""


class Created(NamedTuple):
    """A container as the runtime describes it."""

    key: ContainerKey
    label: str
    id: str
    swap_max: str | None


class PluginMemory:
    """The state that is kept from one connection to the next."""

    def __init__(self) -> None:
        self.before: dict[str, int | None] = {}
        """The limit that each adjusted container would otherwise have, by id; ``None``: no limit."""
        self.others: dict[str, None] = {}
        """Ids of the containers whose key another writer sets."""
        self.adjusted = 0
        """The number of containers that got their limit before they started, for the metrics."""
        self.kept = 0
        """The number of updates by others in which the plugin kept its limit."""
        self.left_alone = 0
        """How often a key was left to another writer."""

    @property
    def full(self) -> bool:
        """Whether `forget` should be called."""
        return max(len(self.before), len(self.others)) >= MOST_REMEMBERED

    def forget(self, held: Collection[str]) -> None:
        """Forget containers that no longer exist; the newest ones may be missing in `held`, and are kept."""
        for remembered in (self.before, self.others):
            if len(remembered) >= MOST_REMEMBERED:
                newest = set(list(remembered)[-MOST_REMEMBERED // 8 :])
                for gone in [each for each in remembered if each not in held and each not in newest]:
                    del remembered[gone]


class NriPlugin:
    """The plugin's state for one connection.

    Args:
        allowance: called for each container; must be fast.
        memory: the memory of the previous connections; ``None``: there were none.
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
        """Name and version of the runtime, once it has configured the plugin."""
        self.registered = False

    def register(self) -> bytes:
        """The first message to send. The runtime may call the plugin before it answers this."""
        wanted = put_text(1, PLUGIN_NAME) + put_text(2, PLUGIN_INDEX)
        return self._call("RegisterPlugin", wanted)

    def update(self, limits: Mapping[str, int]) -> bytes:
        """The message that changes the limits of running containers, and the runtime's own record of them.

        Args:
            limits: the limits in bytes, by container id.
        """
        updates = b"".join(
            put_bytes(1, _update(id_, swap_max_bytes)) for id_, swap_max_bytes in limits.items()
        )
        return self._call("UpdateContainers", updates)

    def received(self, data: bytes) -> bytes:
        """Process bytes from the runtime and return the answer.

        Raises:
            WireError: the runtime breaks the protocol; the connection must be closed.
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
            status = ttrpc.RpcStatus(ttrpc.UNIMPLEMENTED, f"there is no {called.service}/{called.method}")
            return ttrpc.response(frame.stream, b"", status)
        try:
            payload = handler(self, called.payload)
        except Exception as error:  # noqa: BLE001 - an error in the answer would keep the container from starting
            self._complain(f"{called.method} is answered without an adjustment: {error!r}")
            payload = b""
        return ttrpc.response(frame.stream, payload)

    def _on_configure(self, payload: bytes) -> bytes:
        self.runtime = f"{text(payload, 2)} {text(payload, 3)}".strip()
        log.info("NRI: %s calls the plugin for new containers", self.runtime)
        return put_integer(2, EVENTS)

    def _on_synchronize(self, payload: bytes) -> bytes:
        """Change no container that runs already (the agent's rounds do that); the list may come in parts."""
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
                f"creating {created.label} with Overbook's {SWAP_KEY} failed {FAILED_CREATIONS} times; "
                "another plugin sets it too, so Overbook leaves it to that one",
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
        """Keep Overbook's limit when the kubelet updates a container, since the update has another limit."""
        created = _created(payload)
        asked = entries(message(payload, 3), 6).get(SWAP_KEY)
        wanted = self._wanted(created._replace(swap_max=asked))
        if wanted is None:
            return b""
        self.memory.kept += 1
        log.info("NRI: %s keeps %s %d", created.label, SWAP_KEY, wanted)
        return put_bytes(1, _update(created.id, wanted))

    def _wanted(self, created: Created) -> int | None:
        """The limit to set; ``None`` if the container is unknown or another writer has set another limit."""
        wanted = self._allowance(created.key)
        if wanted is None or created.swap_max == str(wanted) or created.id in self.memory.others:
            return None
        if created.swap_max not in {None, "0"}:
            # 0 is the kubelet's NoSwap. Any other value is from LimitedSwap or another plugin.
            self._leave(
                created,
                f"the kubelet's LimitedSwap or another plugin set {SWAP_KEY} of {created.label} to "
                f"{created.swap_max}; Overbook leaves it to that one",
            )
            return None
        return wanted

    def _leave(self, created: Created, problem: str) -> None:
        """Remember that another writer sets this container's key, so that Overbook no longer writes it."""
        self.memory.left_alone += 1
        if len(self.memory.others) < 2 * MOST_REMEMBERED:
            self.memory.others[created.id] = None
        self.memory.before.pop(created.id, None)
        self._complain(problem)

    def _complain(self, problem: str) -> None:
        """Log each problem only once."""
        self._complaints(problem, about=problem)


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
        + put_integer(3, 1)  # do not fail if the container no longer exists
    )
