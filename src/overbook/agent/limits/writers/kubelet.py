"""The kubelet writes, with ``LimitedSwap``; the agent compares."""

from overbook.agent.limits.writers.reporting import ReportingSwapWriter
from overbook.agent.limits.writers.writer import WriterMeans


def make(_means: WriterMeans) -> ReportingSwapWriter:
    """The writer."""
    return ReportingSwapWriter("Kubelet")
