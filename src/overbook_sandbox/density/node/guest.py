"""The program in the emulated node: it plays one load under one guard, and prints what happens.

Until the load is over, it writes to no file and prints only a few short lines: it must not wait for a disk
that it has made busy. All else it keeps, and prints at the end.
"""

import gc
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Final

import msgspec

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.own_process import lock_memory, lower_oom_score
from overbook.kernel.vmstat import read_vmstat
from overbook_sandbox.density.guards import find
from overbook_sandbox.density.guards.guard import GuardDecision, GuardNode, StartedPod
from overbook_sandbox.density.loads import LoadPod
from overbook_sandbox.density.node import disks, worker
from overbook_sandbox.density.node.pods import pod_of
from overbook_sandbox.density.node.staller import Staller
from overbook_sandbox.density.node.watch import Watch, Watched, cpu_seconds
from overbook_sandbox.density.trace import End, How, Left, Message, Order, PhaseBegun, TracePoint
from overbook_sandbox.machine.guest_kernel import use_generations
from overbook_sandbox.machine.pod_runner import CGROUP_ROOT, make_cgroup, make_pod_cgroups, with_status

_PODS: Final = "kubepods.slice"
SAMPLE_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.1
FILL_SECONDS: Final = 30.0
"""The longest time to fill: a guard may have taken a pod meanwhile, or the node may thrash."""
SETTLE_SECONDS: Final = 10.0
"""How long the load goes on after the last pod that has to go has left."""


class Player:
    """Plays a load.

    Args:
        order: what to play.
        flooded: the device for files; empty: none.
        disk: the node's disk; None: it has none.
        keep: the host's folder for what is to be kept, written to when the load is over.
    """

    def __init__(self, order: Order, flooded: str, disk: disks.ThrottledDisk | None, keep: str) -> None:
        self._keep = keep
        self._load = order.load
        self._flooded = flooded
        self._disk = disk
        self._guard = find(order.guard)()
        self._counters = worker.Counters(len(order.load.pods))
        self._watch = Watch(self._counters)
        self._pods: dict[str, Watched] = {}
        self._points: list[TracePoint] = []
        self._left: dict[str, Left] = {}
        self._decisions: dict[str, GuardDecision] = {}
        self._event_at = 0.0
        self._sampled_at = 0.0
        self._memory_bytes = read_meminfo().mem_total_bytes

    def play(self) -> None:
        """Play the load once."""
        guard, load = self._guard, self._load
        staller = Staller(self._disk) if self._disk and load.disk == "stalling" else None
        swap_bytes = read_meminfo().swap_total_bytes or 0
        folder = tempfile.mkdtemp(prefix="density-", dir="/run")
        guard.prepare(GuardNode(folder, self._memory_bytes, swap_bytes, load))
        gc.collect()
        gc.freeze()
        guard.wait()
        kills_before = read_vmstat().oom_kill or 0
        try:
            if load.starts == "before":
                self._phase("fill")
                self._start_all()
                self._until(FILL_SECONDS, self._is_full)
                self._phase("steady")
                self._until(load.steady_seconds)
            cpu_before = cpu_seconds(guard.cgroup) if guard.cgroup else 0.0
            self._phase("event")
            self._begin()
            if staller is not None:
                staller.begin()
            self._until(load.event_seconds, self._is_settled)
            if staller is not None:
                staller.end()
            self._sample()
            ended = time.monotonic()
            used = cpu_seconds(guard.cgroup) - cpu_before if guard.cgroup else None
        finally:
            for pod in self._pods.values():
                if pod.alive:
                    os.kill(pod.started.pid, 9)
        end = End(
            at=round(ended - self._event_at, 2),
            longest_gaps={name: round(pod.longest_gap, 2) for name, pod in self._pods.items()},
            kernel_kills=(read_vmstat().oom_kill or 0) - kills_before,
            guard_cpu_seconds=used,
            guard_figures=guard.stop(),
        )
        self._print_all(end)
        if recording := guard.recording():
            shutil.copy(recording, self._keep)

    def _begin(self) -> None:
        """Begin the event."""
        self._event_at = self._counters.event_at = time.monotonic()
        self._sample()  # the units before the event
        if self._load.starts != "before":
            self._start_all()

    def _start_all(self) -> None:
        for slot, pod in enumerate(self._load.pods):
            self._start(slot, pod)

    def _start(self, slot: int, pod: LoadPod) -> None:
        manifest = pod_of(self._load, pod)
        made = make_pod_cgroups(manifest, self._memory_bytes)
        score = made.oom_score_adj
        pid = worker.fork(self._load, pod, slot, self._counters, made.full_path, score, self._flooded)
        started = StartedPod(pod.name, with_status(manifest), made.cgroup, made.full_path, pid)
        self._pods[pod.name] = Watched(started, slot)
        self._guard.pod_started(started)

    def _until(self, seconds: float, over: Callable[[float], bool] = lambda _now: False) -> None:
        """Watch until the time has passed, or until `over` returns true."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end and not over(now):
            for pod in self._pods.values():
                self._watch.gap(pod, now)
            if now - self._sampled_at >= SAMPLE_SECONDS:
                self._look_who_left()
                self._sample()
            time.sleep(LOOK_SECONDS)

    def _is_full(self, _now: float) -> bool:
        return all(self._counters.read(pod.slot)[4] > 0.99 for pod in self._pods.values() if pod.alive)

    def _is_settled(self, now: float) -> bool:
        """Whether all have left who had to, some time ago."""
        load = self._load
        gone = [name for name in load.guilty if name in self._left]
        if not load.must_go or not load.guilty or len(gone) < len(load.guilty):
            return False
        return now >= max(self._left[name].at for name in gone) + SETTLE_SECONDS

    def _look_who_left(self) -> None:
        for decision in self._guard.decisions():
            self._decisions.setdefault(decision.pod, decision)
        for name, pod in self._pods.items():
            if pod.alive and os.waitpid(pod.started.pid, os.WNOHANG)[0]:
                pod.alive = False
                self._left[name] = _left(pod, self._decisions.get(name))

    def _relative(self, left: Left) -> Left:
        at, decided = left.at, left.decided_at
        return msgspec.structs.replace(
            left,
            at=round(at - self._event_at, 2),
            decided_at=None if decided is None else round(decided - self._event_at, 2),
        )

    def _sample(self) -> None:
        self._sampled_at = time.monotonic()
        self._points.append(self._watch.point(self._pods, 0.0))

    def _phase(self, name: str) -> None:
        with open("/proc/uptime", encoding="ascii") as file:
            _print(PhaseBegun(name=name, uptime_seconds=float(file.read().split()[0])))

    def _print_all(self, end: End) -> None:
        for point in self._points:
            _print(msgspec.structs.replace(point, at=round(point.at - self._event_at, 2)))
        for left in self._left.values():
            _print(self._relative(left))
        _print(end)


def _left(pod: Watched, decision: GuardDecision | None) -> Left:
    return Left(
        pod=pod.started.name,
        at=time.monotonic(),
        how=_how(pod, decision),
        decided_at=decision.at_seconds if decision else None,
        reason=decision.reason if decision else "",
    )


def _how(pod: Watched, decision: GuardDecision | None) -> How:
    if decision is not None:
        return "guard"
    try:
        killed = pod.started.cgroup.read_memory_events().oom_kill or 0
    except KernelFileError:
        killed = 0
    return "kernel" if killed else "exited"


def _print(message: Message) -> None:
    os.write(1, msgspec.json.encode(message) + b"\n")


def main() -> int:
    """Play the load that a file describes."""
    with open(sys.argv[1], "rb") as file:
        order = msgspec.json.decode(file.read(), type=Order)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    with open(os.path.join(make_cgroup("system.slice/density.service"), "cgroup.procs"), "w") as procs:
        procs.write(str(os.getpid()))
    make_cgroup(_PODS)
    lock_memory()
    lower_oom_score()
    use_generations()
    load, flooded, disk = order.load, "", None
    with Cgroup(_PODS) as pods:  # the kubelet's enforceNodeAllocatable is `pods` by default
        pods.write_memory_max(read_meminfo().mem_total_bytes - int(load.reserved_mib * 2**20))
    if order.flooded or (order.swap and load.disk != "zram"):
        device, flooded = disks.partition(load.swap_mib, flooded=order.flooded)
        disk = disks.ThrottledDisk(f"{CGROUP_ROOT}/{_PODS}", disks.THROTTLES[load.disk])
    if order.swap:
        disks.swap_on(disks.make_zram(load.swap_mib) if load.disk == "zram" else device)
    Player(order, flooded, disk, os.path.dirname(sys.argv[1])).play()
    return 0


if __name__ == "__main__":
    sys.exit(main())
