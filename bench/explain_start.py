"""``overbook explain`` from a cold start, and with ten thousand pods."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.fake_node import launcher_pod
from bench.figure import Benchmark, Figure, children_cpu_seconds, low, say

COMMAND = "python -m bench explain"
EXAMPLE = str(Path(__file__).parents[1] / "examples" / "burstable-vm-pod.yaml")
MOST_MILLIS = 200.0
MOST_SECONDS = 2.0
PODS = 10_000


def run(quick: bool) -> Iterator[Figure]:
    times = 7 if quick else 21
    with tempfile.TemporaryDirectory() as folder:
        single = os.path.join(folder, "pod.json")
        with open(single, "wb") as file:
            file.write(msgspec.json.encode(launcher_pod(1)))
        # All are run in turn, so that other load affects all of them.
        nothing, yaml, json = _in_turn(
            times,
            [sys.executable, "-c", "pass"],
            _explain(EXAMPLE, "--node-memory", "16Gi"),
            _explain(single, "--node-memory", "16Gi"),
        )
        for name, (wall, cpu) in (("a YAML file", yaml), ("a JSON file", json)):
            yield Figure(
                name=f"explain one pod from {name}, wall clock",
                value=round(wall * 1e3, 1),
                unit="ms",
                at_most=MOST_MILLIS,
                command=COMMAND,
                note=f"{cpu * 1e3:.1f} ms of CPU; {wall / nothing[0]:.1f} times `python -c pass`",
            )
        yield Figure(
            name="`python -c pass`, for comparison",
            value=round(nothing[0] * 1e3, 1),
            unit="ms",
            command=COMMAND,
            note=f"{nothing[1] * 1e3:.1f} ms of CPU",
        )
        say(f"{PODS} pods")
        many = os.path.join(folder, "pods.json")
        items = [launcher_pod(number) for number in range(PODS)]
        data = msgspec.json.encode({"apiVersion": "v1", "kind": "PodList", "items": items})
        with open(many, "wb") as file:
            file.write(data)
        (found,) = _in_turn(3 if quick else 5, _explain(many, "--node-memory", "16Gi", "--output", "json"))
        yield Figure(
            name="explain 10,000 pods from one JSON file, wall clock",
            value=round(found[0], 2),
            unit="s",
            at_most=MOST_SECONDS,
            command=COMMAND,
            note=f"{len(data) / 2**20:.0f} MiB in, JSON out; {found[1]:.2f} s of CPU",
        )


def _explain(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "overbook", "explain", *arguments]


def _in_turn(times: int, *commands: list[str]) -> list[tuple[float, float]]:
    """Wall-clock and CPU seconds of each command."""
    taken: list[list[tuple[float, float]]] = [[] for _ in commands]
    for _ in range(times):
        for place, command in enumerate(commands):
            wall, cpu = time.monotonic(), children_cpu_seconds()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)  # noqa: S603 - ours
            taken[place].append((time.monotonic() - wall, children_cpu_seconds() - cpu))
    return [(low([wall for wall, _ in runs]), low([cpu for _, cpu in runs])) for runs in taken]


BENCHMARK = Benchmark("explain", "overbook explain from a cold start", run)
