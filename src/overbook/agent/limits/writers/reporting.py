"""The writer that writes nothing; what would be written is only logged."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.writer import Limits, Unwritten


class ReportingSwapWriter:
    """Writes nothing: for ``--mode observe``, and where the kubelet writes and its limit is only compared.

    Args:
        reason: why nothing is written.
    """

    def __init__(self, reason: Unwritten = "Observing") -> None:
        self._reason: Unwritten = reason

    def read(self, _container: HeldContainer, _outer_bytes: int | None, /) -> Limits | None:
        """``None``: there will be nothing to restore."""
        return None

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """``None``: Overbook set no limit."""
        return None

    def write(self, _container: HeldContainer, _limits: Limits, /) -> Unwritten | None:
        """Leave the limits as they are."""
        return self._reason
