"""The writer for NRI: the runtime asks Overbook's plugin for the limit before a container starts."""

import os

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.reconcile import CgroupSwapWriter
from overbook.agent.limits.writers.writer import Limits, Unwritten, WriterMeans
from overbook.nri.connection import NriSocket


class NriSwapWriter(CgroupSwapWriter):
    """Writes limits that were not set at the start or have changed since, and informs the runtime.

    Args:
        connection: to the runtime.
    """

    def __init__(self, connection: NriSocket) -> None:
        self.connection = connection

    def given(self, container: HeldContainer, /) -> Limits | None:
        """The limit that the runtime would have set without the plugin."""
        before = self.connection.memory.before
        return (before[container.found.id], None) if container.found.id in before else None

    def write(self, container: HeldContainer, limits: Limits) -> Unwritten | None:
        """Set the limits, unless another plugin sets this container's.

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
    """Make the writer with its own connection, or without one where no loop can receive questions."""
    if means.epoll is None:
        return CgroupSwapWriter()
    path = os.path.join(means.fsroot, means.facts.nri_socket.lstrip("/"))
    return NriSwapWriter(NriSocket(path, means.allowed, means.epoll))
