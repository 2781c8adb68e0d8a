"""CPU time of the agent's tick: all that one round does, the check of the swap limits included."""

import os
import time
from collections.abc import Iterator

import msgspec

from bench.fake_node import FakeNode, fake_node
from bench.figure import Benchmark, Figure, cpu_seconds, low, say
from overbook.agent.loop import Agent
from overbook.agent.pods import ManifestDirectory
from overbook.agent.settings import Settings
from overbook.kernel.own_process import raise_descriptor_limit

COMMAND = "python -m bench tick"
MOST_MILLIS = 10.0
LINEAR = 4.4
"""1,000 containers against 250: 4 and some for what grows elsewhere."""
FILES = ("memory.current", "memory.stat", "memory.swap.current", "memory.swap.max", "memory.pressure")


def run(quick: bool) -> Iterator[Figure]:
    raise_descriptor_limit()
    small = _measure(250, 20 if quick else 60)
    yield Figure(
        name="CPU of a tick, 250 containers",
        value=round(small["tick"] * 1e3, 2),
        unit="ms",
        at_most=MOST_MILLIS,
        command=COMMAND,
        note="quiet node, all swap limits as they should be",
    )
    yield Figure(
        name="the same against open, read and close of the same files",
        value=round(small["tick"] / small["files"], 2),
        unit="times",
        command=COMMAND,
        note=f"{len(FILES)} files a container, nothing parsed: {small['files'] * 1e3:.2f} ms",
    )
    yield Figure(
        name="CPU of a tick while a rule holds, 250 containers",
        value=round(small["starved"] * 1e3, 2),
        unit="ms",
        at_most=MOST_MILLIS,
        command=COMMAND,
        note="Observe: the rule fires, everyone is ranked, the decision is written down",
    )
    yield Figure(
        name="CPU of a tick that records, 250 containers",
        value=round(small["recording"] * 1e3, 2),
        unit="ms",
        at_most=MOST_MILLIS,
        command=COMMAND,
    )
    yield Figure(
        name="CPU of rendering /metrics, 250 containers",
        value=round(small["metrics"] * 1e3, 2),
        unit="ms",
        command=COMMAND,
    )
    few, many = _in_turn(250, 1000, 10 if quick else 40)
    yield Figure(
        name="CPU of a tick, 1,000 containers",
        value=round(many * 1e3, 2),
        unit="ms",
        command=COMMAND,
        note=f"250 containers in turn with them: {few * 1e3:.2f} ms",
    )
    yield Figure(
        name="growth from 250 to 1,000 containers",
        value=round(many / few, 2),
        unit="times",
        at_most=LINEAR,
        command=COMMAND,
    )


def _in_turn(few: int, many: int, ticks: int) -> list[float]:
    """CPU seconds of a tick of two nodes, in turn, so that a noisy machine is noisy for both."""
    say(f"nodes of {few} and {many} containers")
    with fake_node(few) as small, fake_node(many) as large:
        agents = [make_agent(small), make_agent(large)]
        taken: list[list[float]] = [[] for _ in agents]
        for number in range(15 + ticks):
            for agent, seconds in zip(agents, taken, strict=True):
                used = cpu_seconds(agent.tick, 1)
                if number >= 15:
                    seconds.append(used)
        for agent in agents:
            agent.stop()
    return [low(seconds) for seconds in taken]


def _measure(containers: int, ticks: int) -> dict[str, float]:
    say(f"a node of {containers} containers")
    with fake_node(containers) as node:
        agent = make_agent(node)
        for _ in range(15):  # windows fill, limits are written, layouts are learned
            agent.tick()
        assert agent.values()["containers"] == containers
        assert agent.values()["pods_known"] * 2 == containers
        # Both in turn, so that a noisy machine is noisy for both.
        ticks_taken, files_taken = [], []
        directories = node.cgroup_directories()
        for _ in range(ticks):
            ticks_taken.append(cpu_seconds(agent.tick, 1))
            files_taken.append(cpu_seconds(lambda: _read_all(directories), 1))
        tick, files = low(ticks_taken), low(files_taken)
        metrics = cpu_seconds(lambda: agent.metrics.render(agent.values()), 20)
        agent.stop()
        recorder = make_agent(node, record=os.path.join(node.root, "recording.jsonl"))
        for _ in range(5):
            recorder.tick()
        recording = cpu_seconds(recorder.tick, ticks)
        recorder.stop()
        node.starve()
        # In Observe the engine settles after each guest; without settling it ranks in every tick.
        observer = make_agent(node, mode="Observe", settle_seconds=0.0)
        for _ in range(15):
            observer.tick()
        decided = len(observer.journal.decisions)
        starved = cpu_seconds(observer.tick, ticks)
        assert len(observer.journal.decisions) > decided
        observer.stop()
    return {"tick": tick, "files": files, "starved": starved, "recording": recording, "metrics": metrics}


def make_agent(
    node: FakeNode, mode: str = "Enforce", record: str | None = None, settle_seconds: float | None = None
) -> Agent:
    """The real agent on the fake node, its clock one second a tick."""
    settings = Settings(
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
    """Half a second forward each time it is asked: a tick asks twice."""

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
