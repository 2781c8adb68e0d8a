"""The agent's own rounds write, a tick after a container's start: they need nothing of runtime or kubelet."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.writer import Limits, Unwritten, WriterMeans


class CgroupSwapWriter:
    """Writes it into the container's cgroup, and into crun's inner one, which would limit it too."""

    def read(self, container: HeldContainer, outer_bytes: int | None) -> Limits | None:
        """The outer limit as sampled, the inner as it is now.

        Raises:
            KernelFileError: it cannot be read, or the container is gone.
        """
        return outer_bytes, container.leaf.read_memory_swap_max() if container.leaf is not None else None

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """It comes after the start."""
        return None

    def write(self, container: HeldContainer, limits: Limits) -> Unwritten | None:
        """Set it, outer first.

        Raises:
            KernelFileError: the kernel refuses, or the container is gone.
        """
        outer_bytes, inner_bytes = limits
        container.cgroup.write_memory_swap_max(outer_bytes)
        if container.leaf is not None:
            container.leaf.write_memory_swap_max(inner_bytes)
        return None


def make(_means: WriterMeans) -> CgroupSwapWriter:
    """The writer."""
    return CgroupSwapWriter()
