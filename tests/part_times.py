"""How long each part of a test session and each lane took, printed at its end."""

from collections import defaultdict
from typing import Any

import pytest

from tests.lanes import unit_of


class PartTimes:
    """Adds up the durations of tests by their folder, and by the lane and unit in which they ran."""

    def __init__(self, config: pytest.Config) -> None:
        self._in_lane = hasattr(config, "workerinput")
        self._config = config
        self._parts: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._lanes: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def add(self, part: str, seconds: float) -> None:
        """Count something that took so long towards a part."""
        self._parts[part] += seconds
        self._counts[part] += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._in_lane:
            return  # the session that collects the lanes' reports counts them
        part = report.nodeid.partition("::")[0].rpartition("/")[0]
        self._parts[part] += report.duration
        self._counts[part] += report.when == "call"
        lane = self._lanes[getattr(report, "worker_id", "")]
        unit = unit_of(report.nodeid)
        lane[unit] = lane.get(unit, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        if self._in_lane:
            output: dict[str, Any] = vars(self._config)["workeroutput"]
            output["part_times"] = dict(self._parts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a lane's process added. A process that died has none."""
        for part, seconds in getattr(node, "workeroutput", {}).get("part_times", {}).items():
            self.add(part, seconds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._parts:
            return
        terminalreporter.section("how long each part took")
        for part in sorted(self._parts):
            terminalreporter.write_line(f"{self._parts[part]:8.1f} s  {part} ({self._counts[part]})")
        if len(self._lanes) > 1:
            terminalreporter.section("minutes of each lane")
            for name, units in sorted(self._lanes.items()):
                longest = sorted(units.items(), key=lambda each: -each[1])
                named = ", ".join(f"{unit} {seconds / 60:.1f}" for unit, seconds in longest[:4])
                terminalreporter.write_line(f"{sum(units.values()) / 60:8.1f} min  {name}: {named}")
