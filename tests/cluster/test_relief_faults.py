"""The controller is killed at any step, and its API server fails: one pod leaves, and never two."""

import pathlib
import time
from collections.abc import Iterator

import pytest

from overbook.core.api.overcommit_node import ReliefCandidate
from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import relief_cluster
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.cluster.relief_cluster import controller, make_node, make_pod, pod_exists, report
from tests.waiting import wait_for

ALONE = "--no-leader-elect"
STEP = r"(GET|PATCH|POST) .*/(pods/|overcommitnodes/[^/]+/status)"
EVICTION = "POST .*/eviction"


@pytest.fixture
def proxy(cluster: ControlPlane, installed: Installation) -> Iterator[FaultyProxy]:  # noqa: ARG001 - its kinds
    with FaultyProxy(cluster) as made:
        yield made


@pytest.fixture
def node(cluster: ControlPlane, namespace: str, proxy: FaultyProxy) -> Iterator[str]:  # noqa: ARG001 - order
    relief_cluster.configure(cluster, coolDownSeconds=1)
    name = f"node-of-{namespace}"
    make_node(cluster, name)
    yield name
    cluster.kubectl("delete", "node", name, "--wait=false")


@pytest.fixture
def guests(cluster: ControlPlane, namespace: str, node: str) -> tuple[ReliefCandidate, ReliefCandidate]:
    return make_pod(cluster, namespace, "wild", node), make_pod(cluster, namespace, "other", node)


def steps(proxy: FaultyProxy, node: str) -> int:
    """Count the requests of a relief so far: reading, writing the record, evicting."""
    mine = (f"/overcommitnodes/{node}/status", "/pods/")
    return sum(any(each in line for each in mine) and "watch=" not in line for line in proxy.requests)


def assert_one_guest_has_gone(
    cluster: ControlPlane, node: str, guests: tuple[ReliefCandidate, ReliefCandidate]
) -> None:
    wild, other = guests
    wait_for(lambda: relief_cluster.outcomes(cluster, node), "an outcome")
    relief_cluster.wait_for_stage(cluster, node, None)
    assert [victim for victim, _ in relief_cluster.outcomes(cluster, node)] == [wild.label]
    assert not pod_exists(cluster, wild)
    assert pod_exists(cluster, other)


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_a_leader_killed_at_any_step_is_replaced(
    cluster: ControlPlane,
    proxy: FaultyProxy,
    node: str,
    guests: tuple[ReliefCandidate, ReliefCandidate],
    tmp_path: pathlib.Path,
    killed_at: int,
) -> None:
    # Each request waits in the proxy, and arrives after the one who sent it is dead.
    proxy.delay(0.5, matching=STEP, times=EVER)
    with controller(proxy.kubeconfig, tmp_path, ALONE) as first:
        report(cluster, node, *guests)
        wait_for(lambda: steps(proxy, node) >= killed_at, f"step {killed_at}", every_seconds=0.01)
        first.kill()
    with controller(cluster.kubeconfig, tmp_path, ALONE):
        assert_one_guest_has_gone(cluster, node, guests)


@pytest.mark.parametrize("fault", ["lose", "cut", "500", "503", "429", "429 later", "409"])
def test_an_unclear_eviction_is_retried_for_the_same_pod(
    cluster: ControlPlane,
    proxy: FaultyProxy,
    node: str,
    guests: tuple[ReliefCandidate, ReliefCandidate],
    tmp_path: pathlib.Path,
    fault: str,
) -> None:
    if fault == "lose":
        proxy.lose_answer(matching=EVICTION)
    elif fault == "cut":
        proxy.cut(matching=EVICTION)
    else:
        later = 3 if fault == "429 later" else None
        proxy.answer(int(fault[:3]), matching=EVICTION, retry_after=later, message="come again")
    with controller(proxy.kubeconfig, tmp_path, ALONE):
        began = time.monotonic()
        report(cluster, node, *guests)
        assert_one_guest_has_gone(cluster, node, guests)
    assert relief_cluster.record(cluster, node).refusals == ()
    if fault == "429 later":
        assert time.monotonic() - began >= 3


def test_an_api_server_that_drops_connections_only_delays_relief(
    cluster: ControlPlane,
    proxy: FaultyProxy,
    node: str,
    guests: tuple[ReliefCandidate, ReliefCandidate],
    tmp_path: pathlib.Path,
) -> None:
    with controller(proxy.kubeconfig, tmp_path, ALONE):
        proxy.delay(0.2, matching=STEP, times=EVER)
        report(cluster, node, *guests)
        for number in range(1, 5):
            wait_for(lambda number=number: steps(proxy, node) >= number, f"step {number}", every_seconds=0.01)  # type: ignore[misc]  # a default binds the loop's variable
            proxy.cut_all()
        assert_one_guest_has_gone(cluster, node, guests)


def test_of_two_replicas_one_works_and_the_other_takes_over(
    cluster: ControlPlane,
    proxy: FaultyProxy,
    node: str,
    guests: tuple[ReliefCandidate, ReliefCandidate],
    tmp_path: pathlib.Path,
) -> None:
    proxy.delay(1.0, matching=EVICTION, times=EVER)
    with controller(proxy.kubeconfig, tmp_path, "--identity", "first") as first:
        wait_for(lambda: "first leads" in first.log.read_text(), "the first leads")
        with controller(cluster.kubeconfig, tmp_path, "--identity", "second") as second:
            wait_for(lambda: second.get("/readyz")[0] == 200, "the second stands by")
            report(cluster, node, *guests)
            wait_for(lambda: any("/eviction" in line for line in proxy.requests), "asked", every_seconds=0.01)
            first.kill()
            wait_for(lambda: "second leads" in second.log.read_text(), "the second leads")
            assert_one_guest_has_gone(cluster, node, guests)
            assert "overbook_controller_leader 1" in second.get("/metrics")[1]


@pytest.mark.usefixtures("installed")
def test_a_stopped_leader_gives_the_lease_back(cluster: ControlPlane, tmp_path: pathlib.Path) -> None:
    with controller(cluster.kubeconfig, tmp_path, "--identity", "first") as first:
        wait_for(lambda: "first leads" in first.log.read_text(), "it leads")
        assert first.stop() == 0
        began = time.monotonic()
        with controller(cluster.kubeconfig, tmp_path, "--identity", "second") as second:
            wait_for(lambda: "second leads" in second.log.read_text(), "another leads")
        assert time.monotonic() - began < 14, "it did not have to wait until the lease ran out"
