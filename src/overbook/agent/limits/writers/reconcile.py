"""The writer that needs neither runtime nor kubelet: it sets limits one tick after a container's start."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.writer import Limits, Unwritten, WriterMeans


class CgroupSwapWriter:
    """Writes limits into the container's cgroup, and into crun's inner one, which would limit it too."""

    def read(self, container: HeldContainer, outer_bytes: int | None) -> Limits | None:
        """The outer limit as sampled, and the inner limit read now.

        Raises:
            KernelFileError: the inner limit cannot be read, or the container is gone.
        """
        return outer_bytes, container.leaf.read_memory_swap_max() if container.leaf is not None else None

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """``None``: this writer sets no limit at a container's start."""
        return None

    def write(self, container: HeldContainer, limits: Limits) -> Unwritten | None:
        """Set the limits, the outer one first.

        Raises:
            KernelFileError: the kernel refuses, or the container is gone.
        """
        outer_bytes, inner_bytes = limits
        container.cgroup.write_memory_swap_max(outer_bytes)
        if container.leaf is not None:
            container.leaf.write_memory_swap_max(inner_bytes)
        return None


def make(_means: WriterMeans) -> CgroupSwapWriter:
    """Make the writer."""
    return CgroupSwapWriter()
