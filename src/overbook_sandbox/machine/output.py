"""The stream that comes out of a node: the job's lines and, between them, the node's own words."""

import re
from collections.abc import Iterator


class OutputSplitter:
    """Cuts bytes into lines as they come in; undecodable bytes become U+FFFD."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Take more bytes and yield the lines that they complete, without their ends."""
        *whole, self._partial = (self._partial + data).split(b"\n")
        for line in whole:
            yield line.rstrip(b"\r").decode(errors="replace")

    def rest(self) -> str:
        """What has come in since the last line's end."""
        return self._partial.decode(errors="replace")


class OutputReader:
    """Tells the job's lines from the node's reports that it started and ended.

    Args:
        marker: The word before each report, made anew for each boot so that no job can print it by chance.

    Attributes:
        started: Whether the job has been started.
        exit_status: The job's exit status, 0 to 255, once it has ended; above 128 a signal ended it.
    """

    def __init__(self, marker: str) -> None:
        self.started = False
        self.exit_status: int | None = None
        self._lines = OutputSplitter()
        self._report = re.compile(rf"(.*){re.escape(marker)} (?:(started)|exit (\d+))$")

    def feed(self, data: bytes) -> Iterator[str]:
        """Take more bytes and yield the job's lines; the attributes change on the way."""
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
        """An unfinished last line, for when the node died in the middle of one."""
        return self._lines.rest()
