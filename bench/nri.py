"""CPU of the agent for each container that a runtime announces, over a real Unix socket."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

from bench.fake_node import FakeNode, fake_node, launcher_pod
from bench.figure import Benchmark, Figure, low, say
from bench.process import cpu_micros, used_mib
from overbook.nri.connection import NRI_SOCKETS
from overbook_sandbox.fakes.nri_runtime import RuntimeStandIn

COMMAND = "python -m bench nri"
MOST_MILLIS = 2.0
MOST_MIB = 45.0
CONTAINERS = 250
ROUND = 50


class Taken(NamedTuple):
    """The milliseconds for each container, and the agent's memory."""

    cpu: float
    wall: float
    new_pod_cpu: float
    mib: float


def run(quick: bool) -> Iterator[Figure]:
    taken = _measure(4 if quick else 20)
    yield Figure(
        name="CPU for a new container of a known pod",
        value=round(taken.cpu, 3),
        unit="ms",
        at_most=MOST_MILLIS,
        command=COMMAND,
        note=f"CreateContainer and PostCreateContainer, {CONTAINERS} containers on the node; "
        f"{taken.wall:.2f} ms of wall clock, with the simulated runtime",
    )
    yield Figure(
        name="CPU for the first container of a new pod",
        value=round(taken.new_pod_cpu, 3),
        unit="ms",
        command=COMMAND,
        note="all allowances are computed again, and the pod's manifest is read from a file",
    )
    yield Figure(
        name="resident memory, NRI in use",
        value=round(taken.mib, 1),
        unit="MiB",
        at_most=MOST_MIB,
        command=COMMAND,
    )


def _measure(rounds: int) -> Taken:
    say(f"a node of {CONTAINERS} containers, and a runtime with the NRI plugin")
    with (
        fake_node(CONTAINERS) as node,
        RuntimeStandIn(os.path.join(node.root, NRI_SOCKETS[0])) as runtime,
        _agent(node) as pid,
    ):
        runtime.accept()
        numbers = itertools.count()
        for _ in range(ROUND):
            _create(runtime, 0, next(numbers))
        cpu, wall = [], []
        for _ in range(rounds):
            ran, began = cpu_micros(pid), time.monotonic()
            for number in range(ROUND):
                _create(runtime, number, next(numbers))
            wall.append((time.monotonic() - began) * 1e3 / ROUND)
            cpu.append((cpu_micros(pid) - ran) / 1e3 / ROUND)
        new = [_new_pod(node, runtime, pid, CONTAINERS + number) for number in range(rounds)]
        return Taken(low(cpu), low(wall), low(new), used_mib(pid)["Rss"])


def _create(runtime: RuntimeStandIn, pod: int, number: int) -> None:
    given = runtime.create(launcher_pod(pod)["metadata"]["uid"], "compute", f"{number:064x}")
    assert given is not None, "the agent does not know the pod"


def _new_pod(node: FakeNode, runtime: RuntimeStandIn, pid: int, number: int) -> float:
    with open(os.path.join(node.manifests, f"pod-{number}.json"), "wb") as file:
        file.write(msgspec.json.encode(launcher_pod(number)))
    ran = cpu_micros(pid)
    _create(runtime, number, number)
    return (cpu_micros(pid) - ran) / 1e3


@contextmanager
def _agent(node: FakeNode) -> Iterator[int]:
    command = [sys.executable, "-m", "overbook", "agent", "--fsroot", node.root, "--listen", ""]
    # Between two ticks there is time to measure only the cost of the runtime's requests.
    command += ["--manifests", node.manifests, "--interval", "30", "--verbosity", "0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


BENCHMARK = Benchmark("nri", "The runtime's requests over NRI", run)
