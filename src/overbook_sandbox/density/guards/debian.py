"""Other guards as Debian ships them, with their defaults.

Pods have no swap limit beside them, as on a node where the documented hook removes it. With the kubelet's
`LimitedSwap` values they would never act: allowances are shares of the requests, so swap never runs out, and
each of these guards waits until both RAM and swap do.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from overbook.kernel.cgroup import Cgroup
from overbook_sandbox.density.guards.guard import Guard, GuardDecision, GuardNode, StartedPod
from overbook_sandbox.density.guards.kill_reader import EarlyoomReader, Kill, KillReader, NohangReader
from overbook_sandbox.machine.pod_runner import CGROUP_ROOT, make_cgroup, start_in
from overbook_sandbox.machine.spec import MEBIBYTE
from overbook_sandbox.node.node_programs import node_program

OOM_SCORE_ADJ: Final = -900
_READY_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0


class DebianGuard(Guard):
    """A guard that is a program of Debian, in a cgroup of its own in `system.slice`.

    Attributes:
        argv: the command of Debian's unit, with `{tree}` before the package's own files.
        memory_max_mib: the limit in Debian's unit.
        log: the path of the guard's output in the node.
        reader: makes the reader of that output.
    """

    decides = True
    argv: ClassVar[tuple[str, ...]]
    memory_max_mib: ClassVar[int]
    log: ClassVar[str] = "/run/guard.log"
    reader: ClassVar[Callable[[], KillReader]]

    def prepare(self, _node: GuardNode) -> None:
        """Start the program."""
        self._reader = type(self).reader()
        self._position = 0
        self._part = b""
        self._pods: dict[str, str] = {}
        self._processes: dict[int, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._start()

    def wait(self) -> None:
        """Wait until the guard has said something, which each does when it begins."""
        deadline = time.monotonic() + _READY_SECONDS
        while not os.path.exists(self.log) or not os.path.getsize(self.log):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not start")
            time.sleep(0.1)

    def pod_started(self, pod: StartedPod) -> None:
        """Remember the pod's cgroup."""
        self._pods[pod.name] = pod.cgroup.path.strip("/")
        self._processes[pod.pid] = pod.name

    def decisions(self) -> Sequence[GuardDecision]:
        """The kills since the last call."""
        self._find_processes()
        now = time.monotonic()
        found = []
        for line in self._lines():
            kill = self._reader.read(line)
            if kill is not None and (pod := self._pod_of(kill)):
                found.append(GuardDecision(pod, now, kill.reason))
        return found

    def stop(self) -> dict[str, float]:
        """End the program."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(_END_SECONDS)
        return {}

    def _start(self) -> None:
        tree = node_program(self.package).tree
        full = make_cgroup(self.cgroup)
        with Cgroup(self.cgroup) as opened:
            opened.write_memory_max(self.memory_max_mib * MEBIBYTE)
        argv = [word.format(tree=tree) for word in self.argv]
        with open(self.log, "wb") as log:
            self._process = start_in(full, argv, OOM_SCORE_ADJ, output=log.fileno())

    def _find_processes(self) -> None:
        """Read the processes of each pod, because a dead one has no cgroup."""
        for pod, cgroup in self._pods.items():
            path = os.path.join(CGROUP_ROOT, cgroup, "cgroup.procs")
            with suppress(OSError), open(path, encoding="ascii") as file:
                self._processes.update((int(line), pod) for line in file)

    def _pod_of(self, kill: Kill) -> str:
        """The pod of a kill; empty: it was none of the pods."""
        if kill.process is not None:
            return self._processes.get(kill.process, "")
        for pod, container in self._pods.items():
            if f"{container}/".startswith(f"{kill.cgroup}/"):
                return pod
        return ""

    def _lines(self) -> Iterator[str]:
        with suppress(FileNotFoundError), open(self.log, "rb") as file:
            file.seek(self._position)
            *lines, self._part = (self._part + file.read()).split(b"\n")
            self._position = file.tell()
            yield from (line.decode(errors="replace") for line in lines)


class Earlyoom(DebianGuard):
    """The guard earlyoom: it ends the process with the highest OOM score below 10 % of RAM and of swap."""

    name = "earlyoom"
    title = "earlyoom 1.7"
    cgroup = "system.slice/earlyoom.service"
    package = "earlyoom"
    argv = ("{tree}/usr/bin/earlyoom", "-r", "3600")
    memory_max_mib = 50
    reader = EarlyoomReader


class Nohang(DebianGuard):
    """The guard nohang: as earlyoom, below 5 % of RAM and 10 % of swap."""

    name = "nohang"
    title = "nohang 0.2"
    cgroup = "system.slice/nohang.service"
    package = "nohang"
    argv = (
        "/usr/bin/python3",
        "{tree}/usr/sbin/nohang",
        "--monitor",
        "--config",
        "{tree}/etc/nohang/nohang.conf",
    )
    memory_max_mib = 100
    reader = NohangReader
