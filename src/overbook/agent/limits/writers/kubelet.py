"""The kubelet writes, with ``LimitedSwap``; the agent compares."""

from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.limits.writers.writer import WriterMeans


class CheckingSwapWriter(ReportingSwapWriter):
    """Writes nothing either: where the kubelet does it is only compared."""

    def unwritten(self, now: str) -> str:
        """Both values: one of the two does not know the node as it is."""
        return f"is {now} by the kubelet, and should be"


def make(_means: WriterMeans) -> CheckingSwapWriter:
    """The writer."""
    return CheckingSwapWriter()
