"""Ten minutes without the API server: limits, memory, and the time until all is reported afterwards."""

import os
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.agent_stage import NODE, OWN_PODS, AgentStage, agent_stage
from bench.figure import Benchmark, Figure, say
from overbook.core.api.overcommit_node import TAINT_KEY
from overbook.kernel.kubepods import PodScanner
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.fakes.kernel_files import make_cgroup
from overbook_sandbox.machine.errors import SandboxUnavailableError

COMMAND = "python -m bench outage"
PODS = 1000
AWAY_SECONDS, QUICK_SECONDS = 600.0, 60.0
CYCLE_SECONDS = 20.0
"""One half of it with pressure, the other half without."""
CALM_SECONDS = 5.0
SETTLED_TICKS = 20
HELD_SECONDS = 5.0
"""The time in which a wrong limit must be corrected."""
MOST_GROWTH_MIB = 1.0
MOST_TOLD_SECONDS = 10.0
TELL_SECONDS = 120.0
DECIDED_SECONDS = 60.0
"""The longest time for a decision on a starved node; without one the figures that follow are missed."""


def run(quick: bool) -> Iterator[Figure]:
    seconds = QUICK_SECONDS if quick else AWAY_SECONDS
    try:
        with agent_stage(PODS, f"calmSeconds: {CALM_SECONDS}\n") as stage:
            stage.until_tick(SETTLED_TICKS)
            yield from _away(stage, seconds)
    except SandboxUnavailableError as error:
        say(str(error))


def _away(stage: AgentStage, seconds: float) -> Iterator[Figure]:
    say(f"the API server is away for {seconds:.0f} s")
    stage.cluster.kill_api_server()
    began = time.monotonic()
    spoiled = wrong = 0
    resident = []
    troubled = False
    while (away := time.monotonic() - began) < seconds:
        if troubled != (away % CYCLE_SECONDS < CYCLE_SECONDS / 2):
            troubled = not troubled
            (stage.starve if troubled else stage.calm)()
        spoiled += 1
        wrong += not _put_right(stage, spoiled)
        resident.append((away, stage.resident_mib()))
    yield Figure(
        name=f"wrong limits not corrected within {HELD_SECONDS:.0f} s",
        value=wrong,
        unit="limits",
        at_most=0,
        command=COMMAND,
        note=f"of {spoiled} in {seconds:.0f} s without the API server, {OWN_PODS} pods",
    )
    warm = max(each for away, each in resident if away < seconds / 3)
    yield Figure(
        name="growth of resident memory",
        value=round(max(each for _, each in resident) - warm, 2),
        unit="MiB",
        at_most=MOST_GROWTH_MIB,
        command=COMMAND,
        note=f"beyond the {warm:.1f} MiB of the first third",
    )
    yield from _back(stage)


def _put_right(stage: AgentStage, number: int) -> bool:
    """Make one container's limit wrong, as after a restart. Returns whether it is corrected in time."""
    pods = PodScanner(stage.root).scan()
    pod = pods[number % len(pods)]
    path = min(container.path for container in pod.containers)
    limit = os.path.join(stage.root, "sys/fs/cgroup", path, "memory.swap.max")
    with open(limit, encoding="ascii") as file:
        right = file.read()
    make_cgroup(stage.root, path, {"memory.swap.max": "max\n"})
    deadline = time.monotonic() + HELD_SECONDS
    while time.monotonic() < deadline:
        time.sleep(0.2)
        with open(limit, encoding="ascii") as file:
            if file.read().strip() == right.strip():
                return True
    return False


def _back(stage: AgentStage) -> Iterator[Figure]:
    stage.calm()
    time.sleep(2 * CALM_SECONDS)
    decided = _decisions(stage)
    stage.starve()
    deadline = time.monotonic() + DECIDED_SECONDS
    while _decisions(stage) == decided and time.monotonic() < deadline:
        time.sleep(0.2)
    stage.cluster.start_api_server()
    began = time.monotonic()
    while not _converged(stage.cluster) and time.monotonic() - began < TELL_SECONDS:
        time.sleep(0.2)
    yield Figure(
        name="time until taint, condition and request are correct",
        value=round(time.monotonic() - began, 1),
        unit="s",
        at_most=MOST_TOLD_SECONDS,
        command=COMMAND,
        note="after the API server is ready again",
    )
    decided = _decisions(stage)
    while (told := _told(stage.cluster)) < decided and time.monotonic() - began < TELL_SECONDS:
        time.sleep(0.5)
    yield Figure(
        name="decisions without an event",
        value=decided - told,
        unit="decisions",
        at_most=0,
        command=COMMAND,
        note=f"of {decided}; reported {time.monotonic() - began:.1f} s after the API server was ready",
    )


def _decisions(stage: AgentStage) -> int:
    """How often the agent decided that a pod has to leave."""
    return int(
        sum(
            value
            for name, value in stage.metrics().items()
            if name.startswith("overbook_decisions_total") and 'action="relieve"' in name
        )
    )


def _told(cluster: ControlPlane) -> int:
    events = _get(cluster, "events", "--all-namespaces")["items"]
    about_node = (each for each in events if each["involvedObject"]["kind"] == "Node")
    return sum(each.get("count") or 1 for each in about_node if each["reason"] == "ReliefRequested")


def _converged(cluster: ControlPlane) -> bool:
    taints = _get(cluster, "node", NODE)["spec"].get("taints", ())
    status = _get(cluster, "overcommitnode", NODE).get("status", {})
    pressed = {("OvercommitPressure", "True")}
    return (
        any(taint["key"] == TAINT_KEY for taint in taints)
        and status.get("request") is not None
        and pressed <= {(each["type"], each["status"]) for each in status.get("conditions", ())}
    )


def _get(cluster: ControlPlane, *what: str) -> dict[str, Any]:
    return msgspec.json.decode(cluster.kubectl("get", "--output=json", *what), type=dict[str, Any])


BENCHMARK = Benchmark("outage", "Ten minutes without the API server", run, by_name_only=True)
