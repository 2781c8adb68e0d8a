import json
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.kube.api.kinds import LEASES, NODES
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.kubevirt.documents import PODS
from tests.cluster.sync_client import create, eviction_of, get
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("hollow_nodes")


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "none", "resources": {"requests": {"memory": "64Mi"}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "guest"}},
        "spec": {"containers": [container], **spec},
    }


def budget(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "guest"}}},
    }


def running(cluster: ControlPlane, name: str, namespace: str) -> Any:
    def is_ready() -> Any:
        found = get(cluster, PODS, name, namespace)
        ready = [each for each in found["status"].get("conditions", ()) if each["type"] == "Ready"]
        return found if ready and ready[0]["status"] == "True" else None

    return wait_for(is_ready, f"pod {namespace}/{name} is ready")


def test_the_scheduler_places_a_pod_and_it_runs(cluster: ControlPlane, namespace: str) -> None:
    create(cluster, pod("guest"), namespace)
    found = running(cluster, "guest", namespace)
    assert found["spec"]["nodeName"] in {"hollow-1", "hollow-2", "hollow-3"}
    assert found["status"]["phase"] == "Running"
    assert found["status"]["containerStatuses"][0]["ready"]
    assert found["status"]["podIP"]


def test_a_pod_that_fits_nowhere_waits(cluster: ControlPlane, namespace: str) -> None:
    large = pod("guest")
    large["spec"]["containers"][0]["resources"]["requests"]["memory"] = "64Gi"
    create(cluster, large, namespace)

    def why() -> str:
        conditions = get(cluster, PODS, "guest", namespace)["status"].get("conditions", ())
        return next((each["message"] for each in conditions if each["type"] == "PodScheduled"), "")

    assert "Insufficient memory" in wait_for(why, "the scheduler's verdict")


@pytest.fixture
def slow_ending(hollow_nodes: HollowNodes) -> Iterator[None]:
    hollow_nodes.ending_seconds = 3.0
    yield
    hollow_nodes.ending_seconds = 0.0


@pytest.mark.usefixtures("slow_ending")
def test_a_pod_takes_its_time_to_end(cluster: ControlPlane, namespace: str) -> None:
    create(cluster, pod("guest"), namespace)
    found = running(cluster, "guest", namespace)
    assert eviction_of(cluster, found) is None
    assert get(cluster, PODS, "guest", namespace)["metadata"]["deletionTimestamp"]
    wait_for(lambda: get(cluster, PODS, "guest", namespace) is None, "the pod is gone")


def test_a_disruption_budget_refuses_with_429_and_two_with_500(cluster: ControlPlane, namespace: str) -> None:
    create(cluster, pod("guest"), namespace)
    found = running(cluster, "guest", namespace)
    create(cluster, budget("one"), namespace)
    observed = ("get", "pdb", "one", f"--namespace={namespace}", "--output=jsonpath={.status.currentHealthy}")
    wait_for(lambda: cluster.kubectl(*observed) == "1", "the budget counts the pod")
    refusal = eviction_of(cluster, found)
    assert refusal is not None
    assert (refusal.status, refusal.causes[0].reason) == (429, "DisruptionBudget")
    create(cluster, budget("two"), namespace)
    refusal = eviction_of(cluster, found)
    assert refusal is not None
    assert refusal.status == 500
    assert "more than one PodDisruptionBudget" in refusal.message


def test_a_recreated_node_becomes_ready_again(cluster: ControlPlane) -> None:
    before = get(cluster, NODES, "hollow-3")["metadata"]
    cluster.kubectl("delete", "node", "hollow-3")
    # With its labels, or no pod is kept apart from another there in the tests that follow.
    again = {"metadata": {"name": "hollow-3", "labels": before["labels"]}}
    cluster.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Node", **again}))

    def is_back() -> bool:
        found = get(cluster, NODES, "hollow-3")
        conditions = {each["type"]: each["status"] for each in found["status"].get("conditions", ())}
        return conditions.get("Ready") == "True" and not found["spec"].get("taints")

    wait_for(is_back, "hollow-3 is ready and without taints")


def test_leases_are_renewed(cluster: ControlPlane) -> None:
    def renewed() -> str:
        lease = get(cluster, LEASES, "hollow-1", "kube-node-lease")
        return str(lease["spec"]["renewTime"]) if lease else ""

    first = wait_for(renewed, "a lease")
    wait_for(lambda: renewed() > first, "a renewal")
