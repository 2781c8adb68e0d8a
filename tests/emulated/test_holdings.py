"""A pod that swaps both ways holds what its process touched, whatever the sum of RAM and swap says."""

import pathlib
import signal
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from overbook.agent.collector import Collector
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.pressure.model import node_model, pod_models
from overbook_sandbox.machine.pod_runner import RunningPod, start
from tests.agent.fake_node import manifest
from tests.emulated.real_pods import MI, RealPods, wait_until

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

TOUCHED = 96 * MI
SQUEEZED = 72 * MI
TOLERANCE = TOUCHED * 3 // 100 + 4 * MI
NODE_TOLERANCE = TOLERANCE + 8 * MI
"""The rest of the node is not still meanwhile."""

PROGRAM = """
import mmap, pathlib, signal, sys
size, flags, state = int(sys.argv[1]), getattr(mmap, sys.argv[2]), pathlib.Path(sys.argv[3])
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
memory = mmap.mmap(-1, size, flags | mmap.MAP_ANONYMOUS)
state.write_text("started")
signal.sigwait({signal.SIGUSR1})
memory[::4096] = b"x" * (size // 4096)
rounds = 0
while True:
    state.write_text(f"round {rounds}")
    signal.sigwait({signal.SIGUSR1})
    assert memory[::4096].count(b"x") == size // 4096
    rounds += 1
"""


class Held(NamedTuple):
    """The holdings by the agent's reader, and the sum of RAM and swap."""

    pod: int
    pod_sum: int
    node: int


class Toucher:
    """A pod whose process touches memory, and reads it all when it is told so."""

    def __init__(self, pods: RealPods, flags: str) -> None:
        made: Pod = convert(manifest("vm", request="128Mi"), Pod, "vm")
        self.state = pods.folder / "state"
        argv = [sys.executable, "-I", "-S", "-c", PROGRAM, str(TOUCHED), flags, str(self.state)]
        self.running: RunningPod = start(made, argv, pods.node_memory_bytes)
        pods.running["vm"] = self.running
        self.collector = Collector("/")
        self.wait("started")

    def wait(self, state: str) -> None:
        wait_until(lambda: self.state.exists() and self.state.read_text() == state, 60)

    def go(self, state: str) -> None:
        self.running.process.send_signal(signal.SIGUSR1)
        self.wait(state)

    def held(self) -> Held:
        sample = self.collector.collect(0.0, 0.0, {})
        uid = next(pod.uid for pod in sample.pods if any(c.memory_current_bytes > MI for c in pod.containers))
        (container,) = next(pod.containers for pod in sample.pods if pod.uid == uid)
        node = node_model(sample.node).holdings_bytes
        assert node is not None
        both = container.memory_current_bytes + container.swap_current_bytes
        return Held(pod_models([sample])[uid].usage_bytes, both, node)


@pytest.fixture
def pods(tmp_path: pathlib.Path) -> Iterator[RealPods]:
    made = RealPods(tmp_path)
    yield made
    made.remove()


@pytest.mark.parametrize("flags", ["MAP_PRIVATE", "MAP_SHARED"])
def test_holdings_are_what_was_touched_while_it_swaps(pods: RealPods, flags: str) -> None:
    toucher = Toucher(pods, flags)
    before = toucher.held()

    def check() -> Held:
        now = toucher.held()
        assert abs(now.pod - before.pod - TOUCHED) <= TOLERANCE
        assert abs(now.node - before.node - TOUCHED) <= NODE_TOLERANCE
        return now

    toucher.go("round 0")
    check()
    counted_twice = []
    for number in range(1, 4):
        toucher.running.cgroup.reclaim(SQUEEZED)
        assert toucher.running.cgroup.read_memory_swap_current() > SQUEEZED // 2
        check()
        toucher.go(f"round {number}")
        now = check()
        counted_twice.append(now.pod_sum - now.pod)
    if flags == "MAP_PRIVATE":
        # The pages that were read back keep their place in swap; memory that is shared gives it up.
        assert max(counted_twice) > SQUEEZED // 2
    toucher.collector.close()
