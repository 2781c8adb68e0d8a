"""A program in the background of the sandbox: started, watched, and always ended.

It is ended with all its children. If this process ends first, for any reason, the kernel ends the program.
"""

import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from overbook_sandbox.machine.errors import SandboxError

_TAIL_LINES: Final = 20
_STOP_SECONDS: Final = 5.0

# The kernel's "parent" in PR_SET_PDEATHSIG is a thread: a program started by a short-lived thread would end
# with that thread.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="service-starter")


class ServiceError(SandboxError):
    """A background program did not start, or ended.

    Args:
        problem: One sentence.
        service: The program, whose log's end is shown.
    """

    def __init__(self, problem: str, service: "Service") -> None:
        shown = "".join(f"\n  {line}" for line in service.log_tail())
        super().__init__(f"{problem}\nlast lines of {service.log}:{shown}" if shown else problem)


class Service:
    """A program in the background.

    Args:
        name: The name for messages and the log.
        argv: The program's path and its arguments.
        folder: The working directory; the log is `NAME.log` there, and an existing log is continued.
        environment: The environment; only PATH is inherited.
    """

    def __init__(
        self, name: str, argv: Sequence[str], folder: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = os.path.join(folder, f"{name}.log")
        self._argv = list(argv)
        self._folder = folder
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": folder,
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """The program's process id; raises ValueError if it was not started."""
        if self._process is None:
            raise ValueError(f"{self.name} was not started")
        return self._process.pid

    def start(self) -> None:
        """Start the program, unless it runs."""
        if not self.running:
            self._process = _starter.submit(self._spawn).result()

    def require_running(self) -> None:
        """Raise a ServiceError with the end of the log if the program has ended."""
        if not self.running:
            status = self._process.returncode if self._process else "none"
            raise ServiceError(f"{self.name} ended with status {status}", self)

    def kill(self) -> None:
        """Kill the program and its children, and wait for their end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the program with SIGTERM, or after 5 s with SIGKILL."""
        self._end(signal.SIGTERM)

    def log_tail(self) -> list[str]:
        """The last lines of the log, oldest first."""
        with suppress(FileNotFoundError), open(self.log, encoding="utf-8", errors="replace") as file:
            return [line.rstrip() for line in deque(file, maxlen=_TAIL_LINES)]
        return []

    def _spawn(self) -> "subprocess.Popen[bytes]":
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        with open(self.log, "ab") as log:
            return subprocess.Popen(  # noqa: S603 - argv lists made in this package
                [*guard, *self._argv],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, signal_number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for each in (signal_number, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, each)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_SECONDS)
                return
