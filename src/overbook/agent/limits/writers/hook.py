"""The writer for the OCI hook, which sets limits before a container starts, from the agent's file."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.reconcile import CgroupSwapWriter
from overbook.agent.limits.writers.writer import Limits, WriterMeans


class HookSwapWriter(CgroupSwapWriter):
    """Writes the limits of containers that started without the hook, or whose limit has changed since."""

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """No swap: the hook replaces the limit of a kubelet that gives no swap."""
        return 0, None


def make(_means: WriterMeans) -> HookSwapWriter:
    """Make the writer."""
    return HookSwapWriter()
