import json

import pytest

from bench.cluster_filling import fill
from bench.cluster_status import (
    MOST_MIB,
    MOST_SECONDS,
    NODES,
    PODS,
    Run,
    install_custom_resources,
    run_status,
)
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.part_times import PartTimes

MOST_RUNS = 4
"""The first ones find an API server that still tidies up after being filled."""
BUSY = 1.5
"""From so many runnable for each core on a share of the machine is worth less than it says: caches are cold,
cores are halves of cores, and each hand-over between command and API server waits its turn."""


@pytest.fixture(scope="module")
def large(bare_cluster: ControlPlane, request: pytest.FixtureRequest) -> ControlPlane:
    install_custom_resources(bare_cluster)
    seconds = fill(bare_cluster, nodes=NODES, pods=PODS)
    times = request.config.pluginmanager.get_plugin("overbook-part-times")
    if isinstance(times, PartTimes):
        times.add(f"filling a cluster with {PODS:,} pods", seconds)
    return bare_cluster


def test_status_of_1000_nodes_takes_10_seconds_and_300_mib(large: ControlPlane) -> None:
    runs = []
    answer = None
    for _ in range(MOST_RUNS):
        runs.append(run_status(large.kubeconfig, "--output", "json"))
        answer = json.loads(runs[-1].output)
        if not answer["unread"] and runs[-1].fair_seconds <= allowed_seconds(runs[-1]):
            break
    last = runs[-1]
    assert answer is not None
    assert answer["unread"] == []
    assert len(answer["nodes"]) >= NODES
    assert answer["totals"]["pods"] >= PODS
    assert answer["totals"]["virtualMachines"] >= PODS * 3 // 10
    assert last.mebibytes <= MOST_MIB
    assert last.fair_seconds <= allowed_seconds(last), [one[:4] for one in runs]


def allowed_seconds(run: Run) -> float:
    return MOST_SECONDS if run.crowding < BUSY else 2 * MOST_SECONDS


def test_the_worst_nodes_are_shown_and_the_others_counted(large: ControlPlane) -> None:
    output = run_status(large.kubeconfig).output
    assert len(output.splitlines()) < 80
    assert " more nodes in a better state; --details shows all" in output
