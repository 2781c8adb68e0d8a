"""CPU time of the agent's tick, with the check of the swap limits."""

import os
import time
from collections.abc import Callable, Iterator

import msgspec

from bench.fake_node import CONTAINERS_PER_POD, FakeNode, fake_node
from bench.figure import Benchmark, Figure, cpu_seconds, low, say
from overbook.agent.agent import Agent
from overbook.agent.settings import AgentSettings
from overbook.agent.source import ManifestDirectory
from overbook.kernel.own_process import raise_descriptor_limit

COMMAND = "python -m bench tick"
MOST_MILLIS = 10.0
LINEAR = 4.4
"""The growth from 250 to 1,000 containers: 4, and a margin for costs that are not proportional."""
FILES = ("memory.current", "memory.stat", "memory.swap.current", "memory.swap.max")


WARM_UP = 15
"""The number of ticks after which windows are full, limits are written and layouts of files are known."""


def run(quick: bool) -> Iterator[Figure]:
    raise_descriptor_limit()
    cpu = {name: seconds * 1e3 for name, seconds in _measure(20 if quick else 80).items()}
    yield _millis(
        "CPU of a tick, 250 containers", cpu["tick"], "all swap limits correct; every pod's stall is read"
    )
    yield Figure(
        name="CPU of a tick while no task of the node stalls",
        value=round(cpu["quiet"], 2),
        unit="ms",
        command=COMMAND,
        note="no pod's stall is read",
    )
    yield Figure(
        name="the same against open, read and close of the same files",
        value=round(cpu["tick"] / cpu["files"], 2),
        unit="times",
        command=COMMAND,
        note=f"{len(FILES)} files a container, nothing parsed: {cpu['files']:.2f} ms",
    )
    note = "Observe: the rule fires, all pods are ranked, the decision is recorded"
    yield _millis("CPU of a tick while a rule fires, 250 containers", cpu["starved"], note)
    yield _millis("CPU of a tick that records, 250 containers", cpu["recording"])
    for name, measured in (
        ("CPU of rendering /metrics, 250 containers", cpu["metrics"]),
        ("CPU of a tick, 1,000 containers", cpu["large"]),
    ):
        yield Figure(name=name, value=round(measured, 2), unit="ms", command=COMMAND)
    yield Figure(
        name="growth from 250 to 1,000 containers",
        value=round(cpu["large"] / cpu["tick"], 2),
        unit="times",
        at_most=LINEAR,
        command=COMMAND,
    )


def _millis(name: str, measured: float, note: str = "") -> Figure:
    return Figure(
        name=name, value=round(measured, 2), unit="ms", at_most=MOST_MILLIS, command=COMMAND, note=note
    )


def _measure(rounds: int) -> dict[str, float]:
    """CPU seconds of each measurement. All are made in turn, so that other load affects all of them."""
    say("nodes of 250 and of 1,000 containers")
    with fake_node(250) as node, fake_node(250) as starved_node, fake_node(1000) as large_node:
        starved_node.starve()
        agent, large = make_agent(node), make_agent(large_node)
        recorder = make_agent(node, record=os.path.join(node.root, "recording.jsonl"))
        # In Observe the engine settles after each decision; without settling it ranks in every second tick.
        starved = make_agent(starved_node, mode="Observe", settle_seconds=0.0)
        agents = (agent, large, recorder, starved)
        for _ in range(WARM_UP):
            for one in agents:
                one.tick()
        assert [one.values()["containers"] for one in agents] == [250, 1000, 250, 250]
        assert agent.values()["pods_known"] == 250 / CONTAINERS_PER_POD
        decided = len(starved.journal.decisions)
        directories = node.cgroup_directories()
        subjects: dict[str, Callable[[], object]] = {
            "quiet": agent.tick,
            "tick": agent.tick,
            "files": lambda: _read_all(directories),
            "recording": recorder.tick,
            "starved": starved.tick,
            "metrics": lambda: agent.metrics.render(agent.values()),
            "large": large.tick,
        }
        taken: dict[str, list[float]] = {name: [] for name in subjects}
        nodes, stalled = (node, starved_node, large_node), 0
        for _ in range(rounds):
            for name, work in subjects.items():
                if name != "quiet":
                    for each in nodes:
                        each.stall(stalled := stalled + 1)
                taken[name].append(cpu_seconds(work, 1))
            time.sleep(0.1)  # spreads the rounds, so that a burst of other load affects few of them
        assert len(starved.journal.decisions) > decided
        for one in agents:
            one.stop()
    return {name: low(seconds) for name, seconds in taken.items()}


def make_agent(
    node: FakeNode, mode: str = "Enforce", record: str | None = None, settle_seconds: float | None = None
) -> Agent:
    """The real agent on the fake node, with a clock that advances one second for each tick."""
    settings = AgentSettings(
        mode="Observe" if mode == "Observe" else "Enforce",
        fsroot=node.root,
        manifests=node.manifests,
        record=record,
        listen="",
    )
    if settle_seconds is not None:
        ruleset = msgspec.structs.replace(settings.ruleset, settle_seconds=settle_seconds)
        settings = msgspec.structs.replace(settings, ruleset=ruleset)
    return Agent(settings, ManifestDirectory(node.manifests), clock=_SteppingClock())


class _SteppingClock:
    """A clock that advances half a second at each call; a tick calls it twice."""

    def __init__(self) -> None:
        self._now = time.monotonic()

    def __call__(self) -> float:
        self._now += 0.5
        return self._now


def _read_all(directories: list[str]) -> None:
    for directory in directories:
        for name in FILES:
            fd = os.open(f"{directory}/{name}", os.O_RDONLY)
            os.read(fd, 4096)
            os.close(fd)


BENCHMARK = Benchmark("tick", "CPU of the agent's tick", run)
