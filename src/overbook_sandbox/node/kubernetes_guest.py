"""The program in the emulated machine: it starts containerd and the kubelet, and then runs commands.

Commands come from the host on standard input, answers and samples go to standard output; see
:mod:`overbook_sandbox.node.kubernetes_messages`.

The kubelet must have its own cgroup, in which it looks for `memory.swap.max` to find out whether swap can be
limited. The root cgroup has no such file; there the kubelet would silently leave every container's swap
unlimited.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError
from overbook.kernel.own_process import lock_memory, lower_oom_score
from overbook_sandbox.machine.guest_kernel import use_generations
from overbook_sandbox.machine.pod_runner import make_cgroup, start_in
from overbook_sandbox.node.kubernetes_messages import (
    COMMANDS,
    RUNTIME_SCORE,
    AnyMessage,
    CommandAnswer,
    Ended,
    GuestCommand,
    GuestPlan,
    Read,
    Run,
    Signal,
    Start,
    Stop,
    Up,
)
from overbook_sandbox.node.kubernetes_sampler import KubernetesSampler

_IN_MEMORY: Final = ("/var/lib/containerd", "/var/lib/kubelet")
_READ_LIMIT: Final = 1 << 20


class KubernetesGuest:
    """The program that runs in the node.

    Args:
        folder: A folder shared with the host, for logs.
        plan: The programs to start.
    """

    def __init__(self, folder: str, plan: GuestPlan) -> None:
        self._folder = folder
        self._plan = plan
        self._output_lock = threading.Lock()

    def run(self) -> None:
        """Start the node's programs, and run commands until the command to stop."""
        _prepare()
        self._start("containerd", self._plan.containerd, RUNTIME_SCORE)
        _wait_for_socket(self._plan.socket)
        self._start("kubelet", self._plan.kubelet, RUNTIME_SCORE)
        done = _run(self._plan.import_image)
        if done.returncode:
            raise RuntimeError(f"containerd did not take the image: {done.stdout.strip()}")
        self._send(Up(at=time.monotonic()))
        threading.Thread(target=self._sample, daemon=True).start()
        for line in sys.stdin:
            command = COMMANDS.decode(line)
            if isinstance(command, Stop):
                return
            # Each command has its own thread: a slow one must not delay a SIGKILL.
            threading.Thread(target=self._execute, args=(command,), daemon=True).start()

    def _execute(self, command: GuestCommand) -> None:
        answer = CommandAnswer(at=0.0, number=command.number)
        try:
            match command:
                case Run():
                    done = _run(command.argv, command.environment, command.seconds)
                    answer = msgspec.structs.replace(answer, status=done.returncode, output=done.stdout)
                case Start():
                    status = self._start(
                        command.name, command.argv, command.oom_score_adj, command.environment
                    )
                    answer = msgspec.structs.replace(answer, status=status)
                case Signal():
                    with Cgroup(command.cgroup) as cgroup:
                        answer = msgspec.structs.replace(answer, status=cgroup.signal_all(command.signal))
                case Read():
                    contents = {path: _read(path) for path in command.paths}
                    answer = msgspec.structs.replace(answer, contents=contents)
        except (OSError, KernelFileError, subprocess.TimeoutExpired) as error:
            answer = msgspec.structs.replace(answer, error=str(error))
        self._send(msgspec.structs.replace(answer, at=time.monotonic()))

    def _start(
        self, name: str, argv: Sequence[str], score: int, environment: Mapping[str, str] | None = None
    ) -> int:
        path = make_cgroup(f"system.slice/{name}.service")
        with open(os.path.join(self._folder, f"{name}.log"), "ab") as log:
            process = start_in(path, argv, score, output=log.fileno(), environment=environment)
        threading.Thread(target=self._report_end, args=(name, process), daemon=True).start()
        return process.pid

    def _report_end(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        status = process.wait()
        self._send(Ended(at=time.monotonic(), name=name, status=status))

    def _sample(self) -> None:
        sampler = KubernetesSampler()
        while True:
            self._send(sampler.sample())
            time.sleep(self._plan.sample_seconds)

    def _send(self, message: AnyMessage) -> None:
        line = msgspec.json.encode(message) + b"\n"
        with self._output_lock:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def _prepare() -> None:
    for folder in _IN_MEMORY:
        os.makedirs(folder, exist_ok=True)
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", folder)
    _mount("--make-rshared", "/")
    make_cgroup("system.slice")
    with Cgroup("system.slice") as system:
        system.write_memory_swap_max(0)  # the node's own programs stay in RAM, as the documents require


def _mount(*arguments: str) -> None:
    subprocess.run(("/bin/mount", *arguments), check=True)  # noqa: S603 - fixed arguments


def _wait_for_socket(path: str) -> None:
    """Wait until a program listens on a socket; the host has the time limit."""
    with socket.socket(socket.AF_UNIX) as probe:
        while probe.connect_ex(path):
            time.sleep(0.1)


def _run(
    argv: Sequence[str], environment: Mapping[str, str] | None = None, seconds: float | None = None
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - the argv comes from the host
        argv,
        check=False,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
    )


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(_READ_LIMIT)
    except FileNotFoundError:
        return None


def main() -> None:
    """Run the program; the only argument is the plan's file, beside which the logs are written."""
    path = sys.argv[1]
    with open(path, "rb") as file:
        plan = msgspec.json.decode(file.read(), type=GuestPlan)
    with open(
        os.path.join(make_cgroup("system.slice/overbook-sandbox.service"), "cgroup.procs"), "w"
    ) as procs:
        procs.write(str(os.getpid()))
    lock_memory()
    lower_oom_score()
    use_generations()
    KubernetesGuest(os.path.dirname(path), plan).run()


if __name__ == "__main__":
    main()
