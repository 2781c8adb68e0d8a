"""Nobody writes; what would be written is only said."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.writer import Limits, Unwritten


class ReportingSwapWriter:
    """Writes nothing: what ``--mode observe`` uses; or the kubelet writes, and its limit is only compared.

    Args:
        reason: why nothing is written.
    """

    def __init__(self, reason: Unwritten = "Observing") -> None:
        self._reason: Unwritten = reason

    def read(self, _container: HeldContainer, _outer_bytes: int | None, /) -> Limits | None:
        """There will be nothing to put back."""
        return None

    def given(self, _container: HeldContainer, /) -> Limits | None:
        """Nothing is ours."""
        return None

    def write(self, _container: HeldContainer, _limits: Limits, /) -> Unwritten | None:
        """Leave it as it is."""
        return self._reason
