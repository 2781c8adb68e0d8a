"""The runtime asks a plugin of ours (NRI) before a container starts."""

import os

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.reconcile import CgroupSwapWriter
from overbook.agent.limits.writers.writer import Limits, Unwritten, WriterMeans
from overbook.nri.connection import NriSocket


class NriSwapWriter(CgroupSwapWriter):
    """Writes what started without us, or changed since, and lets the runtime know.

    Args:
        connection: to the runtime.
    """

    def __init__(self, connection: NriSocket) -> None:
        self.connection = connection

    def given(self, container: HeldContainer, /) -> Limits | None:
        """What it would have had, had we not been asked before it started."""
        before = self.connection.memory.before
        return (before[container.found.id], None) if container.found.id in before else None

    def write(self, container: HeldContainer, limits: Limits) -> Unwritten | None:
        """Set it, unless somebody else sets this container's.

        Raises:
            KernelFileError: the kernel refuses, or the container is gone.
        """
        if container.found.id in self.connection.memory.others:
            return "Others"
        super().write(container, limits)
        if limits[0] is not None:
            self.connection.update(container.found.id, limits[0])
        return None


def make(means: WriterMeans) -> CgroupSwapWriter:
    """The writer, with a connection of its own; without a loop that hears the runtime, the one without it."""
    if means.epoll is None:
        return CgroupSwapWriter()
    path = os.path.join(means.fsroot, means.facts.nri_socket.lstrip("/"))
    return NriSwapWriter(NriSocket(path, means.allowed, means.epoll))
