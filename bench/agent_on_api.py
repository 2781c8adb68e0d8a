"""Memory of the real ``overbook agent`` process with all features on."""

from collections.abc import Iterator

from bench.agent_stage import CONTAINERS, OWN_PODS, agent_stage
from bench.figure import Benchmark, Figure, say
from overbook_sandbox.machine.errors import SandboxUnavailableError

COMMAND = "python -m bench api"
MOST_MIB = 45.0
ALL_PODS, QUICK_PODS = 5000, 1000
SETTLED_TICKS = 20
"""The number of ticks after which the window of 10 s is full, at the usual interval of 1 s."""


def run(quick: bool) -> Iterator[Figure]:
    pods = QUICK_PODS if quick else ALL_PODS
    try:
        with agent_stage(pods) as stage:
            stage.until_tick(SETTLED_TICKS)
            asked = stage.ask()
            yield Figure(
                name=f"resident memory, {OWN_PODS} pods of {pods}, API on",
                value=round(stage.resident_mib(), 1),
                unit="MiB",
                at_most=MOST_MIB,
                command=COMMAND,
                note=f"{CONTAINERS} containers; after {SETTLED_TICKS} ticks and {asked} containers' starts",
            )
            stage.starve()
            stage.until_tick(2 * SETTLED_TICKS)
            yield Figure(
                name="the same with a relief request",
                value=round(stage.resident_mib(), 1),
                unit="MiB",
                at_most=MOST_MIB,
                command=COMMAND,
                note="decision, status, taint and events written",
            )
    except SandboxUnavailableError as error:
        say(str(error))


BENCHMARK = Benchmark("api", "Memory of the agent on a real API server", run)
