import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import status_world
from tests.cluster.installing import install

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
SECONDS = 60.0


class Terminal:
    """`overbook status --watch` runs on a terminal of 130 columns and 30 lines."""

    def __init__(self, *arguments: str, without_rich: bool = False) -> None:
        self.shown = ""
        self._own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 130, 0, 0))
        program = [sys.executable, "-m", "overbook"]
        if without_rich:
            hide = "import sys; sys.modules['rich.console'] = None; from overbook.cli import main; "
            program = [sys.executable, "-c", f"{hide}sys.exit(main(sys.argv[1:]))"]
        command = [*program, "status", "--watch", "--interval", "0.3", *arguments]
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)  # noqa: S603 - ours
        os.close(theirs)

    def until(self, text: str) -> str:
        """Wait until the terminal shows a text that it did not show before."""
        before, deadline = len(self.shown), time.monotonic() + SECONDS
        while text not in _ESCAPES.sub("", self.shown[before:]):
            assert time.monotonic() < deadline, f"{text!r} is not in {self.shown[before:][-3000:]!r}"
            self._read()
        return _ESCAPES.sub("", self.shown[before:])

    def press(self, key: str) -> int:
        """Press a key that ends the command, and return its exit status."""
        os.write(self._own, key.encode())
        return self.ended()

    def ended(self) -> int:
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read()
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._own)

    def _read(self) -> None:
        ready, _, _ = select.select([self._own], [], [], 0.1)
        if ready:
            try:
                self.shown += os.read(self._own, 1 << 16).decode(errors="replace")
            except OSError:  # the other side is closed
                time.sleep(0.05)


@pytest.fixture(scope="module")
def watched(breakable_cluster: ControlPlane) -> ControlPlane:
    """A node in a cluster whose API server a test may kill."""
    install(breakable_cluster)
    node = "apiVersion: v1\nkind: Node\nmetadata: {name: worker-1}"
    breakable_cluster.kubectl("apply", "-f", "-", stdin=node)
    status_world.report(breakable_cluster, "worker-1", status_world.calm())
    return breakable_cluster


@pytest.fixture(params=[False, True], ids=["with rich", "without rich"])
def terminal(watched: ControlPlane, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    found = Terminal("--kubeconfig", watched.kubeconfig, without_rich=request.param)
    yield found
    found.close()


def test_watch_shows_changes_and_q_ends_it(watched: ControlPlane, terminal: Terminal) -> None:
    assert "worker-1" in terminal.until("calm")
    critical = {**status_world.calm(), "pressure": {"state": "Critical", "sentence": "all wait 12 %"}}
    status_world.report(watched, "worker-1", critical)
    terminal.until("memory is short, and a pod has to leave: all wait 12 %")
    watched.kubectl("delete", "overcommitnode", "worker-1")
    terminal.until("no agent")
    assert terminal.press("q") == 0
    status_world.report(watched, "worker-1", status_world.calm())


def test_watch_shows_the_last_pictures_age_in_an_outage(watched: ControlPlane) -> None:
    terminal = Terminal("--kubeconfig", watched.kubeconfig)
    try:
        terminal.until("calm")
        watched.kill_api_server()
        picture = terminal.until("old: the API server does not answer")
        assert "worker-1" in picture
        watched.start_api_server()
        terminal.until("q ends")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.ended() == 0
    finally:
        terminal.close()


def test_watch_prints_plain_text_into_a_pipe(watched: ControlPlane) -> None:
    command = [sys.executable, "-m", "overbook", "status", "--watch", "--interval", "0.2"]
    command += ["--kubeconfig", watched.kubeconfig]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        lines: list[str] = []
        while sum(line.startswith("worker-1") for line in lines) < 2:
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "\x1b" not in "".join(lines)
