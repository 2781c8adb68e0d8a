"""How much of its memory the server gives to connections: strangers cannot have the process killed."""

from typing import Final

import msgspec

SHIPPED_MEMORY_BYTES: Final = 128 << 20
"""The memory limit in the shipped manifests, and what counts where the process has no limit."""
MEMORY_LIMIT_FILE: Final = "/sys/fs/cgroup/memory.max"
"""The limit of the process's own cgroup, as a container sees it."""

_BYTES_EACH: Final = 512 << 10
"""An idle connection takes 17 kB, with 15 kB of a request 52 kB; the kernel's buffers up to 256 kB more."""
_FEWEST: Final = 64
_MOST: Final = 2048
_PEER_SHARE: Final = 4
_HELD_SHARE: Final = 8
_LEAST_HELD_BYTES: Final = 9 << 20
_LARGEST_LIMIT_BYTES: Final = 1 << 50


class ServerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the server's connections.

    Attributes:
        connections: the most connections, counted from the moment that they are accepted.
        of_a_peer: the most connections of one address.
        held_bytes: the most bytes of unfinished requests and unread answers on all connections together.
            The small ones do not count: they are in the size of a connection.
    """

    connections: int
    of_a_peer: int
    held_bytes: int


def limits_for(memory_bytes: int) -> ServerLimits:
    """The limits for a process with a memory limit: 256 connections and 16 MiB for the shipped 128 MiB."""
    connections = max(_FEWEST, min(_MOST, memory_bytes // _BYTES_EACH))
    return ServerLimits(
        connections=connections,
        of_a_peer=connections // _PEER_SHARE,
        held_bytes=max(_LEAST_HELD_BYTES, memory_bytes // _HELD_SHARE),
    )


def memory_limit(path: str = MEMORY_LIMIT_FILE) -> int:
    """The memory limit of this process in bytes; the shipped one where there is none, or it is unknown."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read().strip()
    except (OSError, ValueError):
        return SHIPPED_MEMORY_BYTES
    limit = int(text) if text.isdigit() else 0  # `max`: there is none
    return limit if 0 < limit < _LARGEST_LIMIT_BYTES else SHIPPED_MEMORY_BYTES
