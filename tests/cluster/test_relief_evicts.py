"""The controller makes real evictions under real disruption budgets of a real API server."""

import json
from collections.abc import Iterator

import pytest

from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import relief_cluster
from tests.cluster.relief_cluster import (
    ControllerProcess,
    controller,
    make_node,
    make_pod,
    pod_exists,
    report,
)
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def running(
    cluster: ControlPlane,
    installed: Installation,  # noqa: ARG001 - the controller has the rights that are shipped
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControllerProcess]:
    """All tests of this module share a controller; each has nodes of its own."""
    relief_cluster.configure(cluster, coolDownSeconds=2)
    kubeconfig = relief_cluster.controllers_kubeconfig(cluster)
    with controller(kubeconfig, tmp_path_factory.mktemp("controller")) as process:
        yield process


@pytest.fixture
def node(cluster: ControlPlane, namespace: str) -> Iterator[str]:
    name = f"node-of-{namespace}"
    make_node(cluster, name)
    yield name
    cluster.kubectl("delete", "node", name, "--wait=false")


def budget(cluster: ControlPlane, namespace: str, name: str) -> None:
    """Create a disruption budget that allows no eviction of pods labelled ``kept``."""
    manifest = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"kept": "yes"}}},
    }
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    observed = ("get", "pdb", name, "-n", namespace, "-o", "jsonpath={.status.observedGeneration}")
    wait_for(lambda: cluster.kubectl(*observed), f"budget {name} is computed")


def test_a_pod_is_evicted_and_the_reason_is_visible(
    running: ControllerProcess, cluster: ControlPlane, namespace: str, node: str
) -> None:
    wild, other = (make_pod(cluster, namespace, name, node) for name in ("wild", "other"))
    report(cluster, node, wild, other)
    known = relief_cluster.wait_for_stage(cluster, node, "CoolingDown", None)
    wait_for(lambda: known.outcomes or relief_cluster.record(cluster, node).outcomes, "an outcome")
    assert relief_cluster.outcomes(cluster, node) == [(wild.label, "Evicted")]
    assert not pod_exists(cluster, wild)
    relief_cluster.wait_for_stage(cluster, node, None)
    assert pod_exists(cluster, other), "the same request gets no second guest"

    def events() -> set[str]:
        items = json.loads(cluster.kubectl("get", "events", "-n", namespace, "-o", "json"))["items"]
        return {item["reason"] for item in items if item["involvedObject"]["name"] == "wild"}

    wait_for(lambda: {"ReliefStarted", "Evicted"} <= events(), "events about the pod")
    assert "ReliefStarted" in running.get("/decisions")[1]


@pytest.mark.usefixtures("running")
def test_a_disruption_budget_refuses_and_the_next_pod_is_evicted(
    cluster: ControlPlane, namespace: str, node: str
) -> None:
    kept = make_pod(cluster, namespace, "kept", node, labels={"kept": "yes"})
    free = make_pod(cluster, namespace, "free", node)
    budget(cluster, namespace, "only")
    report(cluster, node, kept, free)
    wait_for(lambda: not pod_exists(cluster, free), "the next guest goes")
    refusals = relief_cluster.record(cluster, node).refusals
    assert [(each.label, each.reason) for each in refusals] == [(kept.label, "DisruptionBudget")]
    assert "The disruption budget only" in refusals[0].message
    assert pod_exists(cluster, kept)


@pytest.mark.usefixtures("running")
def test_two_disruption_budgets_refuse_in_their_own_way(
    cluster: ControlPlane, namespace: str, node: str
) -> None:
    kept = make_pod(cluster, namespace, "kept", node, labels={"kept": "yes"})
    budget(cluster, namespace, "one")
    budget(cluster, namespace, "two")
    report(cluster, node, kept)
    known = relief_cluster.wait_for_stage(cluster, node, "Refused")
    assert [each.reason for each in known.refusals] == ["MoreThanOneDisruptionBudget"]
    assert pod_exists(cluster, kept)


@pytest.mark.usefixtures("running")
def test_a_recreated_pod_of_one_name_is_another(cluster: ControlPlane, namespace: str, node: str) -> None:
    former = make_pod(cluster, namespace, "wild", node)
    cluster.kubectl("delete", "pod", "wild", "-n", namespace)
    latter = make_pod(cluster, namespace, "wild", node)
    report(cluster, node, former)
    wait_for(lambda: relief_cluster.outcomes(cluster, node), "an outcome")
    assert relief_cluster.outcomes(cluster, node) == [(former.label, "Gone")]
    assert pod_exists(cluster, latter)


@pytest.mark.usefixtures("running")
def test_pods_that_run_elsewhere_relieve_no_node(cluster: ControlPlane, namespace: str, node: str) -> None:
    elsewhere = make_pod(cluster, namespace, "elsewhere", "another-node")
    report(cluster, node, elsewhere)
    known = relief_cluster.wait_for_stage(cluster, node, "Refused")
    assert "runs on another-node" in known.refusals[0].message
    assert pod_exists(cluster, elsewhere)


@pytest.mark.usefixtures("running")
def test_the_node_condition_follows_the_agent(cluster: ControlPlane, node: str) -> None:
    path = 'jsonpath={.status.conditions[?(@.type=="OvercommitPressure")].status}'

    def condition() -> str:
        return cluster.kubectl("get", "node", node, "-o", path)

    report(cluster, node, state="Pressure")
    wait_for(lambda: condition() == "True", "the condition says pressure")
    report(cluster, node, state="None")
    wait_for(lambda: condition() == "False", "the condition says none")
    ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].type}'
    assert cluster.kubectl("get", "node", node, "-o", ready) == "Ready", "other conditions are left alone"
