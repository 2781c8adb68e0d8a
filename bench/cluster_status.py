"""``overbook status`` against a real API server with 1,000 nodes and 50,000 pods."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.cluster_filling import fill
from bench.figure import Benchmark, Figure, say
from overbook.deploy.custom_resources import definitions
from overbook.deploy.yaml_text import yaml_text
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from overbook_sandbox.cluster.go_programs import find
from overbook_sandbox.machine.errors import SandboxUnavailableError

COMMAND: Final = "python -m bench status"
NODES: Final = 1_000
PODS: Final = 50_000
MOST_SECONDS: Final = 10.0
MOST_MIB: Final = 300.0
_POLL_SECONDS: Final = 0.05


class Run(NamedTuple):
    """One run of the command.

    Attributes:
        seconds: its wall-clock time.
        crowding: running tasks for each core in that time, at least 1.
        mebibytes: its largest resident memory.
        cpu_seconds: its CPU time, user and system.
        output: its output.
    """

    seconds: float
    crowding: float
    mebibytes: float
    cpu_seconds: float
    output: str

    @property
    def fair_seconds(self) -> float:
        """The time that it would have taken with only the API server beside it."""
        return self.seconds / self.crowding


def run_status(kubeconfig: str, *arguments: str) -> Run:
    """Run `overbook status` as a process of its own."""
    command = [sys.executable, "-m", "overbook", "status", "--kubeconfig", kubeconfig, *arguments]
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(command, stdout=output)  # noqa: S603 - ours
        running: list[int] = []
        peak_kib = 0
        while True:
            peak_kib = max(peak_kib, _peak_kib(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            running.append(_running() - 1)  # without this loop, which runs while it counts
            time.sleep(_POLL_SECONDS)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode in (0, 1), process.returncode
        output.seek(0)
        crowding = sum(running) / len(running) / len(os.sched_getaffinity(0))
        cpu = used.ru_utime + used.ru_stime
        return Run(seconds, max(1.0, crowding), peak_kib / 1024, cpu, output.read())


def _peak_kib(pid: int) -> int:
    """The largest resident memory so far, 0 after the end. ``ru_maxrss`` would include its parent's."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("VmHWM:")), 0)


def install_custom_resources(plane: ControlPlane) -> None:
    """Install Overbook's custom resources, and wait until they are served."""
    plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml_text(definitions()))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            plane.kubectl("get", "overcommits,overcommitnodes", "--output=name")
        except KubectlError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError("the custom resources are not served")


def run(quick: bool) -> Iterator[Figure]:
    try:
        find()
    except SandboxUnavailableError as error:
        print(f"  left out: {error}")
        return
    with tempfile.TemporaryDirectory() as folder, ControlPlane(folder, components=()) as plane:
        install_custom_resources(plane)
        say(f"filling a cluster with {NODES} nodes and {PODS} pods")
        filled = fill(plane, nodes=NODES, pods=PODS)
        best = min(
            (run_status(plane.kubeconfig) for _ in range(2 if quick else 5)), key=lambda one: one.fair_seconds
        )
    yield Figure(
        name="overbook status, wall clock",
        value=round(best.fair_seconds, 1),
        unit="s",
        at_most=MOST_SECONDS,
        command=COMMAND,
        note=f"the best of several: {best.seconds:.1f} s by the clock, with {best.crowding:.1f} running for "
        f"each core; {best.cpu_seconds:.1f} s of CPU, without the API server's",
    )
    yield Figure(
        name="resident memory, at most",
        value=round(best.mebibytes, 1),
        unit="MiB",
        at_most=MOST_MIB,
        command=COMMAND,
    )
    yield Figure(
        name=f"filling the cluster with {NODES:,} nodes and {PODS:,} pods",
        value=round(filled, 1),
        unit="s",
        command=COMMAND,
        note="until the API server has all of them in its cache",
    )


def _running() -> int:
    """The number of tasks that run or wait for a core, on the whole machine."""
    with open("/proc/stat", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("procs_running"))


BENCHMARK = Benchmark("status", "overbook status on 1,000 nodes and 50,000 pods", run)
