"""In CI a skipped test is a failed one: everything that a test needs has to be there."""

from collections.abc import Generator

import pytest


class NoSkips:
    """A plugin turns skips into failures that keep their reason."""

    # A wrapper, so that it comes before the session counts what failed.
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None]:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome, report.longrepr = "failed", f"nothing may be skipped in CI: {reason}"
        return (yield)
