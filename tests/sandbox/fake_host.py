"""A fake host answers its programs by the test."""

import pathlib
import subprocess
from collections.abc import Callable, Sequence

from overbook_sandbox.machine.packages import Host

Answer = Callable[[Sequence[str], str | None], "tuple[int, str] | None"]


class FakeHost:
    """A fake host has programs by name and records what was run and printed.

    Args:
        programs: Paths by command name.
        answer: Gives exit status and output for a command; None counts as success without output.
    """

    def __init__(self, programs: dict[str, str], answer: Answer = lambda _argv, _folder: None) -> None:
        self.programs = programs
        self.ran: list[tuple[str, ...]] = []
        self.said: list[str] = []
        self._answer = answer

    def host(
        self, *, install: bool = False, platform: tuple[str, str] = ("linux", "x86_64"), user_id: int = 0
    ) -> Host:
        return Host(
            install=install,
            say=self.said.append,
            which=self.programs.get,
            run=self._run,
            platform=platform,
            user_id=user_id,
        )

    def _run(self, argv: Sequence[str], folder: str | None) -> "subprocess.CompletedProcess[str]":
        self.ran.append(tuple(argv))
        status, output = self._answer(argv, folder) or (0, "")
        return subprocess.CompletedProcess(argv, status, output)


def static_program(path: pathlib.Path) -> str:
    path.write_bytes(b"\x7fELF" + bytes(100))
    return str(path)
