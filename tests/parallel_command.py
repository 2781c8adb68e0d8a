"""Tests marked `beside` are about a command that takes long and little CPU: it runs beside all other tests.

    @pytest.mark.beside("-m", "bench", "outage", "--output", "json")
    def test_it_prints_figures(beside: Beside) -> None:
        assert beside.output()

The command, arguments of this Python, starts with the session; its tests come last.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest


class Beside:
    """A command that runs.

    Args:
        argv: arguments of this Python.
    """

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - kept for as long as the command runs
        self._process = subprocess.Popen(  # noqa: S603 - a test's own argv
            (sys.executable, *argv), stdout=subprocess.PIPE, stderr=self._said, text=True
        )

    def output(self, seconds: float = 1200.0) -> str:
        """Wait for its end; what it printed, whatever its status."""
        output, _ = self._process.communicate(timeout=seconds)
        self._said.seek(0)
        print(self._said.read().decode(errors="replace"))  # shown where a test fails
        return output

    def end(self) -> None:
        """Nobody waits for it any more."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)


class BesideTests:
    """Starts the commands, puts their tests last, and ends what is left."""

    def __init__(self) -> None:
        self._items: list[pytest.Item] = []
        self._commands: dict[tuple[str, ...], Beside] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Iterator[None]:
        yield
        self._items = [item for item in items if item.get_closest_marker("beside")]
        items[:] = [*(item for item in items if item not in self._items), *self._items]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        if not session.config.option.collectonly:
            for item in self._items:
                argv = _argv(item)
                self._commands[argv] = self._commands.get(argv) or Beside(argv)

    @pytest.fixture
    def beside(self, request: pytest.FixtureRequest) -> Beside:
        return self._commands[_argv(request.node)]

    def pytest_sessionfinish(self) -> None:
        for command in self._commands.values():
            command.end()


def _argv(item: pytest.Item) -> tuple[str, ...]:
    marker = item.get_closest_marker("beside")
    assert marker is not None
    return marker.args
