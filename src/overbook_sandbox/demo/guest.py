"""The program in the emulated node: it runs the demo's story, and prints events as JSON lines.

The pods, the phases and the wild pod are the same with and without Overbook, so that only Overbook makes the
difference. :mod:`overbook_sandbox.demo.story` reads the lines.
"""

import argparse
import logging
import os
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import amounts
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.pressure.holdings import holdings_bytes
from overbook.core.pressure.model import increase
from overbook.kernel.cgroup import MemoryReading
from overbook.kernel.files import KernelFileError
from overbook.kernel.meminfo import Meminfo, read_meminfo
from overbook.kernel.memory_stat import MemoryUse
from overbook.kernel.own_process import lock_memory, lower_oom_score
from overbook.kernel.psi import read_pressure
from overbook.kernel.vmstat import read_vmstat
from overbook.kube.files.manifests import read_file
from overbook_sandbox.demo import load
from overbook_sandbox.demo.agent_process import AgentProcess
from overbook_sandbox.machine.guest_kernel import use_generations
from overbook_sandbox.machine.pod_runner import RunningPod, make_cgroup, start, with_status

FOLDER: Final = os.path.dirname(__file__)
PAID: Final = "vm-paid"
WILD: Final = "vm-c"
HOT_AND_COLD_MIB: Final[Mapping[str, tuple[int, int]]] = {
    PAID: (50, 0),
    "vm-a": (50, 230),
    "vm-b": (50, 230),
    WILD: (50, 230),
    "web": (10, 10),
    "batch": (10, 2),
}
"""The memory that each pod uses all the time, and the memory that it uses only once."""
SAMPLE_SECONDS: Final = 0.5
PHASE_SECONDS: Final = {"alone": 8.0, "fill": 40.0, "steady": 12.0, "wild": 60.0, "after": 12.0}


class EventPrinter:
    """A printer of events.

    Args:
        started: the monotonic time that counts as 0.
    """

    def __init__(self, started: float) -> None:
        self._started = started

    def print_event(self, event: str, **facts: Any) -> None:
        """Print an event with the present time."""
        line = {"event": event, "at": round(time.monotonic() - self._started, 3), **facts}
        os.write(1, msgspec.json.encode(line) + b"\n")


class Paid:
    """The Guaranteed VM's work, read from its counter."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._before: tuple[float, int] | None = None

    def read(self, now: float) -> tuple[float | None, float | None]:
        """The units per second since the last call, and the seconds since the last unit."""
        try:
            with open(self._path, "rb") as file:
                done, last = load.COUNTER.unpack(file.read(load.COUNTER.size))
        except (OSError, struct.error):
            return None, None
        before, self._before = self._before, (now, done)
        pace = (done - before[1]) / (now - before[0]) if before and now > before[0] else None
        return pace, max(0.0, now - last) if last else None


class StoryTeller:
    """The runner of the story's phases.

    Args:
        printer: prints the events.
        overbook: whether the agent runs.
        percent: the agent's overcommit percentage.
    """

    def __init__(self, printer: EventPrinter, *, overbook: bool, percent: int) -> None:
        self._printer = printer
        self._work = tempfile.mkdtemp(prefix="overbook-", dir="/run" if os.path.isdir("/run") else None)
        self._pods = {pod.metadata.name: pod for pod in _manifests()}
        self._running: dict[str, RunningPod] = {}
        self._gone: set[str] = set()
        self._paid = Paid(os.path.join(self._work, "pace"))
        self._last: tuple[float, int, int, int] | None = None
        self._memory_bytes = read_meminfo().mem_total_bytes
        self._agent = AgentProcess(self._work, percent) if overbook else None
        self._wild_gone_at: float | None = None

    def run(self) -> None:
        """Run all phases, and then end all started processes."""
        memory = read_meminfo()
        self._printer.print_event(
            "hello",
            overbook=self._agent is not None,
            node={"memoryBytes": memory.mem_total_bytes, "swapBytes": memory.swap_total_bytes or 0},
            pods=[_described(pod) for pod in self._pods.values()],
        )
        try:
            if self._agent is not None:
                self._agent.start()
            self._start(PAID)
            self._wait_for_work()
            self._phase("alone")
            for name in self._pods:
                if name != PAID:
                    self._start(name)
            self._phase("fill")
            self._phase("steady")
            self._running[WILD].process.send_signal(signal.SIGUSR1)
            self._phase("wild")
            self._phase("after")
        finally:
            for running in self._running.values():
                running.process.kill()
            if self._agent is not None:
                self._agent.stop()
        self._printer.print_event("bye")

    def _start(self, name: str) -> None:
        pod = self._pods[name]
        hot, cold = HOT_AND_COLD_MIB[name]
        pace = os.path.join(self._work, "pace") if name == PAID else ""
        argv = [sys.executable, "-I", "-S", load.__file__, str(hot), str(cold), pace]
        self._running[name] = start(pod, argv, self._memory_bytes)
        if self._agent is not None:
            self._agent.publish(with_status(pod))

    def _wait_for_work(self) -> None:
        """Wait until the Guaranteed VM does its work; starting an interpreter takes seconds here."""
        deadline = time.monotonic() + 30
        while self._paid.read(time.monotonic())[1] is None and time.monotonic() < deadline:
            time.sleep(0.1)

    def _phase(self, name: str) -> None:
        self._printer.print_event("phase", name=name)
        begun = time.monotonic()
        while True:
            self._round()
            elapsed = time.monotonic() - begun
            if elapsed >= PHASE_SECONDS[name] or self._over(name, elapsed):
                return
            time.sleep(SAMPLE_SECONDS)

    def _over(self, phase: str, elapsed: float) -> bool:
        """Whether a phase has reached its goal before its time limit."""
        if phase == "fill":
            return elapsed >= 5 and all(self._filled(name) for name in self._running)
        if phase == "wild":
            return WILD in self._gone
        return False

    def _filled(self, name: str) -> bool:
        read = self._usage(self._running[name])
        cached = read.use.swapcached_bytes or 0
        held = holdings_bytes(read.current_bytes, read.swap_current_bytes, cached)
        return held >= sum(HOT_AND_COLD_MIB[name]) * 2**20

    def _round(self) -> None:
        if self._agent is not None:
            for event, facts in self._agent.new_events():
                self._printer.print_event(event, **facts)
        for name, running in self._running.items():
            status = running.process.poll()
            if status is not None and name not in self._gone:
                self._gone.add(name)
                self._printer.print_event("gone", pod=name, how=self._how(name, running))
        self._sample()

    def _how(self, name: str, running: RunningPod) -> str:
        relieved = self._agent.relieved.get(f"demo/{name}") if self._agent is not None else None
        if relieved is None and self._agent is not None and f"demo/{name}" in self._agent.asked:
            relieved = "ended"
        if relieved is not None:
            return "ended by overbook" if relieved == "ended" else "killed by overbook"
        try:
            killed = running.cgroup.read_memory_events().oom_kill or 0
        except KernelFileError:
            killed = 0
        return "killed by the kernel (OOM)" if killed else "exited"

    def _sample(self) -> None:
        now = time.monotonic()
        if self._last is not None and now - self._last[0] < SAMPLE_SECONDS / 2:
            return  # too soon after the last sample, as at a phase's end: the rates would be noise
        memory, events = read_meminfo(), read_vmstat()
        pressure = read_pressure("memory").full
        counters = (now, events.pswpin or 0, events.pswpout or 0, pressure.total_micros if pressure else 0)
        last, self._last = self._last, counters
        pace, gap = self._paid.read(now)
        self._printer.print_event(
            "sample",
            memoryAvailableBytes=memory.mem_available_bytes,
            swapUsedBytes=_swap_used(memory),
            pods={name: self._pod(name, running) for name, running in self._running.items()},
            pace=pace,
            gapSeconds=gap,
            **(_rates(last, counters) if last else {}),
        )

    def _pod(self, name: str, running: RunningPod) -> dict[str, Any]:
        read = self._usage(running)
        return {
            "memoryBytes": read.current_bytes,
            "swapBytes": read.swap_current_bytes,
            "swapCachedBytes": read.use.swapcached_bytes or 0,
            "swapMaxBytes": read.swap_max_bytes,
            "alive": name not in self._gone,
        }

    def _usage(self, running: RunningPod) -> MemoryReading:
        try:
            return running.cgroup.read_memory()
        except KernelFileError:
            return MemoryReading(MemoryUse(), 0, 0, None)


def _rates(before: Sequence[float], after: Sequence[float]) -> dict[str, float]:
    elapsed = max(1e-3, after[0] - before[0])
    grown = [increase(int(old), int(new)) or 0 for old, new in zip(before[1:], after[1:], strict=True)]
    return {
        "swapInPagesPerSecond": grown[0] / elapsed,
        "swapOutPagesPerSecond": grown[1] / elapsed,
        "stallFullPercent": min(100.0, grown[2] / elapsed / 10_000),
    }


def _swap_used(memory: Meminfo) -> int:
    return (memory.swap_total_bytes or 0) - (memory.swap_free_bytes or 0)


def _manifests() -> Iterator[Pod]:
    for name in HOT_AND_COLD_MIB:
        for document in read_file(os.path.join(FOLDER, f"{name}.yaml")):
            yield convert(document.manifest, Pod, name)


def _described(pod: Pod) -> dict[str, Any]:
    hot, cold = HOT_AND_COLD_MIB[pod.metadata.name]
    requests = (pod.containers[0].resources.requests or {}) if pod.containers[0].resources else {}
    return {
        "name": pod.metadata.name,
        "qosClass": resolve(pod).qos_class,
        "virtualMachine": is_virtual_machine_pod(pod),
        "requestBytes": amounts(requests).memory_bytes or 0,
        "guestBytes": (hot + cold) * 2**20,
    }


def main() -> int:
    """Run the story once."""
    parser = argparse.ArgumentParser(prog="overbook_sandbox.demo.guest")
    parser.add_argument("--overbook", action=argparse.BooleanOptionalAction, required=True)
    parser.add_argument("--percent", type=int, default=150)
    args = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with open(os.path.join(make_cgroup("system.slice/demo.service"), "cgroup.procs"), "w") as file:
        file.write(str(os.getpid()))
    lock_memory()
    lower_oom_score()
    use_generations()
    StoryTeller(EventPrinter(time.monotonic()), overbook=args.overbook, percent=args.percent).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
