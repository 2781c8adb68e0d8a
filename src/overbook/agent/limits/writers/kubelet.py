"""The writer for a kubelet with ``LimitedSwap``, which sets the limits; the agent only compares them."""

from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.limits.writers.writer import WriterMeans


def make(_means: WriterMeans) -> ReportingSwapWriter:
    """Make the writer."""
    return ReportingSwapWriter("Kubelet")
