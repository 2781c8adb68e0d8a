"""The OCI hook on the host writes before a container starts, from a file that the agent keeps."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.reconcile import CgroupSwapWriter
from overbook.agent.limits.writers.writer import Limits, WriterMeans


class HookSwapWriter(CgroupSwapWriter):
    """Writes what started without the hook, or changed since."""

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """The hook acts after a kubelet that gives no swap."""
        return 0, None


def make(_means: WriterMeans) -> HookSwapWriter:
    """The writer."""
    return HookSwapWriter()
