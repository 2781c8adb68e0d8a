"""Nobody writes; what would be written is only said."""

from overbook.agent.collector import HeldContainer
from overbook.agent.limits.writers.writer import Limits


class ReportingSwapWriter:
    """Writes nothing: what ``--mode observe`` uses."""

    def read(self, container: HeldContainer, outer_bytes: int | None) -> Limits | None:
        """There will be nothing to put back."""
        return None

    def given(self, container: HeldContainer) -> Limits | None:
        """Nothing is ours."""
        return None

    def write(self, container: HeldContainer, limits: Limits) -> bool:
        """Leave it as it is."""
        return False

    def unwritten(self, now: str) -> str:
        """Only that."""
        return "would be"
