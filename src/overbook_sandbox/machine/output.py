"""The output stream of a node: the job's lines and, between them, the node's own reports."""

import re
from collections.abc import Iterator


class OutputSplitter:
    """A splitter of incoming bytes into lines; undecodable bytes become U+FFFD."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Add bytes and yield the lines that are now complete, without line ends."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")

    def rest(self) -> str:
        """The incomplete last line."""
        return self._partial.decode(errors="replace")


class OutputReader:
    """A reader that separates the job's lines from the node's reports of its start and end.

    Args:
        marker: The word before each report, random for each boot so that no job prints it by chance.

    Attributes:
        started: Whether the job has started.
        exit_status: The job's exit status, 0 to 255, after its end; above 128 it was ended by a signal.
    """

    def __init__(self, marker: str) -> None:
        self.started = False
        self.exit_status: int | None = None
        self._lines = OutputSplitter()
        self._report = re.compile(rf"(.*){re.escape(marker)} (?:(started)|exit (\d+))$")

    def feed(self, data: bytes) -> Iterator[str]:
        """Add bytes and yield the job's lines; reports change the attributes."""
        for line in self._lines.feed(data):
            report = self._report.match(line)
            if report is None:
                yield line
                continue
            if report[1]:  # the job's last line had no end
                yield report[1]
            if report[2]:
                self.started = True
            else:
                self.exit_status = int(report[3])

    def rest(self) -> str:
        """The incomplete last line, for a node that crashed."""
        return self._lines.rest()
