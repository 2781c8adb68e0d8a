"""The guest reporter is the part of `in_node` that runs in the node: it sends reports among pytest's output.

It imports little, for the node is slow.
"""

import faulthandler

import pytest

MARK = "\x1e"  # ASCII's record separator begins a message, which may follow an unfinished line
DESCRIPTOR = 9  # the host's end of the output; pytest's capturing takes 1 and 2
VARIABLE = "OVERBOOK_TEST_REPORTS"
ENVIRONMENT = {VARIABLE: str(DESCRIPTOR), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
TEST_TIMEOUT_SECONDS = 180.0


class GuestReporter:
    """A plugin of the node's pytest sends each report to the host, and ends a test that takes too long."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._stream = open(DESCRIPTOR, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - kept

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        faulthandler.dump_traceback_later(TEST_TIMEOUT_SECONDS, exit=True, file=DESCRIPTOR)
        self._send("start", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._send("report", report.nodeid, report=data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        faulthandler.cancel_dump_traceback_later()
        self._send("finish", nodeid)

    def _send(self, kind: str, nodeid: str, **content: object) -> None:
        # Python's own notation keeps tuples apart from lists, as reports need; JSON would not.
        self._stream.write(f"{MARK}{ {'kind': kind, 'nodeid': nodeid, **content}!r}\n")
        self._stream.flush()
