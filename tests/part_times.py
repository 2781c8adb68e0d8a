"""How long each part of a test session took, printed at its end."""

from collections import defaultdict

import pytest


class PartTimes:
    """Adds up the durations of tests by their folder."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, part: str, seconds: float) -> None:
        """Count something that took so long towards a part."""
        self._seconds[part] += seconds
        self._counts[part] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        part = report.nodeid.partition("::")[0].rpartition("/")[0]
        self._seconds[part] += report.duration
        self._counts[part] += report.when == "call"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._seconds:
            return
        terminalreporter.section("how long each part took")
        for part in sorted(self._seconds):
            terminalreporter.write_line(f"{self._seconds[part]:8.1f} s  {part} ({self._counts[part]})")
