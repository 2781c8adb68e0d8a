"""A pod grows beside a small one until a guard kills a pod; as a program, under systemd, with its guard."""

import json
import os
import pathlib
import signal
import sys
import tempfile

from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.own_process import lower_oom_score
from overbook_sandbox.density.catalog import LOADS
from overbook_sandbox.density.guards import find
from overbook_sandbox.density.guards.guard import Guard, GuardDecision, GuardNode, StartedPod
from overbook_sandbox.machine.guest_kernel import use_generations
from overbook_sandbox.machine.pod_runner import CGROUP_ROOT
from tests.emulated.real_pods import RealPods, wait_until

SMALL, WILD = "small", "wild"


def first_kill(guard: Guard, folder: pathlib.Path) -> GuardDecision:
    """Let a pod run wild until the guard kills a pod, and return the first kill.

    Args:
        guard: The guard, which is started here.
        folder: An empty folder.
    """
    pods = RealPods(folder)
    memory = read_meminfo()
    guard.prepare(GuardNode(str(folder), memory.mem_total_bytes, memory.swap_total_bytes or 0, LOADS[0]))
    try:
        guard.wait()
        for name in (SMALL, WILD):
            started = pods.start(name, request="64Mi", hot=10)
            path = os.path.join(CGROUP_ROOT, started.cgroup.path)
            guard.pod_started(StartedPod(name, started.pod, started.cgroup, path, started.process.pid))
        pods.go(SMALL, WILD)
        wild = pods.running[WILD]
        wait_until(lambda: wild.cgroup.read_memory_current() > 10 << 20)
        wild.process.send_signal(signal.SIGUSR1)
        kills: list[GuardDecision] = []

        def killed() -> bool:
            kills.extend(guard.decisions())
            return bool(kills)

        wait_until(killed, 240)
        wait_until(lambda: pods.running[kills[0].pod].process.poll() is not None)
        return kills[0]
    finally:
        guard.stop()
        pods.remove()


if __name__ == "__main__":
    lower_oom_score()
    use_generations()
    with tempfile.TemporaryDirectory(dir="/run") as run:
        kill = first_kill(find(sys.argv[1])(), pathlib.Path(run))
    os.write(1, json.dumps([kill.pod, kill.reason]).encode() + b"\n")
