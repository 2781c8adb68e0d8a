"""Node objects stay right: no taint outlives its agent, and the condition states only what is known."""

import concurrent.futures
import json
import pathlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.controller.node_keeper import SWEEP_SECONDS
from overbook.core.api.heartbeat import HEARTBEAT_LABELS
from overbook.core.api.overcommit_node import AGENT_MANAGER, TAINT_EFFECT, TAINT_KEY
from overbook.core.timestamp import to_timestamp
from overbook.deploy.installation import CONTROLLER, Installation
from overbook.kube.api.errors import ApiError
from overbook.kube.api.kinds import LEASES, OVERCOMMIT_NODES, Kind
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import relief_cluster
from tests.cluster.relief_cluster import NAMESPACE, ask, controller, make_node, make_pod, pod_exists, report
from tests.waiting import wait_for

AGENTS = Installation().node_namespace
OURS = {"key": TAINT_KEY, "effect": TAINT_EFFECT}
STALE_SECONDS = 5


@pytest.fixture(scope="module", autouse=True)
def running(
    cluster: ControlPlane,
    installed: Installation,  # noqa: ARG001 - the controller has the rights that are shipped
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    relief_cluster.configure(cluster, staleSeconds=STALE_SECONDS)
    folder: pathlib.Path = tmp_path_factory.mktemp("controller")
    # Silence is what did not come while others were heard: one agent always reports.
    make_node(cluster, "talks")
    ended = threading.Event()
    with (
        controller(relief_cluster.controllers_kubeconfig(cluster), folder),
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        talking = pool.submit(_talk, cluster, ended)
        try:
            yield
        finally:
            ended.set()
            talking.result()


def _talk(cluster: ControlPlane, ended: threading.Event) -> None:
    while not ended.wait(2.0):
        report(cluster, "talks", state="None")


def node_of(cluster: ControlPlane, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.kubectl("get", "node", name, "-o", "json"))
    return found


def renew(cluster: ControlPlane, name: str) -> None:
    """Renew the Lease of a node's agent."""
    lease = {
        "metadata": {"name": name, "namespace": AGENTS, "labels": HEARTBEAT_LABELS},
        "spec": {"holderIdentity": "test", "renewTime": to_timestamp(time.time())},
    }
    ask(cluster, lambda client: client.apply(LEASES, lease, manager=AGENT_MANAGER))


def is_gone(cluster: ControlPlane, kind: Kind[Any], name: str, namespace: str | None = None) -> bool:
    try:
        ask(cluster, lambda client: client.get(kind, name, namespace))
    except ApiError as error:
        return error.status == 404
    return False


def keys(cluster: ControlPlane, name: str) -> list[str]:
    """Return the keys of a node's taints, without those that Kubernetes sets on a node without a kubelet."""
    taints = node_of(cluster, name)["spec"].get("taints", [])
    return [each["key"] for each in taints if not each["key"].startswith("node.kubernetes.io/")]


def condition(cluster: ControlPlane, name: str) -> tuple[str, str]:
    known = {each["type"]: each for each in node_of(cluster, name)["status"]["conditions"]}
    mine = known.get("OvercommitPressure", {"status": "", "reason": ""})
    return mine["status"], mine["reason"]


def test_a_silent_agents_taint_is_removed_and_others_stay(cluster: ControlPlane) -> None:
    before, after = ({"key": f"example.com/{word}", "effect": "NoSchedule"} for word in ("a", "z"))
    make_node(cluster, "silent", before, OURS, after)
    report(cluster, "silent", state="Critical")
    wait_for(lambda: condition(cluster, "silent") == ("True", "Critical"), "the condition is true")
    assert TAINT_KEY in keys(cluster, "silent")
    wait_for(lambda: keys(cluster, "silent") == ["example.com/a", "example.com/z"], "the taint is gone")
    wait_for(lambda: condition(cluster, "silent") == ("Unknown", "AgentSilent"), "the condition is unknown")
    report(cluster, "silent", state="None")
    wait_for(lambda: condition(cluster, "silent") == ("False", "NoPressure"), "the agent is heard again")


def test_a_silent_agent_is_noticed_by_a_quiet_leader(cluster: ControlPlane) -> None:
    """A leader that only watches sends no request of its own for longer than an agent may be silent."""
    relief_cluster.configure(cluster, staleSeconds=20)
    make_node(cluster, "mute-among-others", OURS)
    report(cluster, "mute-among-others", state="Critical")
    wait_for(lambda: keys(cluster, "mute-among-others") == [], "the taint is gone")
    assert condition(cluster, "talks") == ("False", "NoPressure")
    relief_cluster.configure(cluster, staleSeconds=STALE_SECONDS)


def test_an_agent_that_only_renews_its_lease_is_not_silent(cluster: ControlPlane) -> None:
    make_node(cluster, "renews", OURS)
    renew(cluster, "renews")
    report(cluster, "renews", state="Critical")
    wait_for(lambda: condition(cluster, "renews") == ("True", "Critical"), "the condition is true")
    deadline = time.monotonic() + 3 * STALE_SECONDS
    while time.monotonic() < deadline:
        renew(cluster, "renews")
        time.sleep(1.0)
        assert condition(cluster, "renews") == ("True", "Critical")
    assert TAINT_KEY in keys(cluster, "renews")
    wait_for(lambda: keys(cluster, "renews") == [], "the taint is gone")


def test_a_taint_without_a_report_is_removed(cluster: ControlPlane) -> None:
    make_node(cluster, "without-report", OURS)
    wait_for(lambda: keys(cluster, "without-report") == [], "the taint is gone")


def test_a_silent_agents_request_is_not_obeyed(cluster: ControlPlane, namespace: str) -> None:
    relief_cluster.configure(cluster, staleSeconds=STALE_SECONDS, perCluster=0)
    make_node(cluster, "mute")
    guest = make_pod(cluster, namespace, "wild", "mute")
    report(cluster, "mute", guest)
    wait_for(lambda: condition(cluster, "mute")[1] == "AgentSilent", "the agent counts as silent")
    relief_cluster.configure(cluster, staleSeconds=STALE_SECONDS)
    relief_cluster.wait_for_stage(cluster, "mute", None)
    assert pod_exists(cluster, guest)


def test_the_object_of_a_deleted_node_is_deleted(cluster: ControlPlane) -> None:
    make_node(cluster, "short-lived")
    report(cluster, "short-lived", state="None")
    renew(cluster, "short-lived")
    cluster.kubectl("delete", "node", "short-lived")
    wait_for(lambda: is_gone(cluster, OVERCOMMIT_NODES, "short-lived"), "its OvercommitNode is deleted")
    wait_for(lambda: is_gone(cluster, LEASES, "short-lived", AGENTS), "its agent's Lease is deleted")
    # An agent that goes on for a while writes it again.
    renew(cluster, "short-lived")
    wait_for(lambda: is_gone(cluster, LEASES, "short-lived", AGENTS), "it is deleted again")
    assert not is_gone(cluster, LEASES, CONTROLLER, NAMESPACE)


def test_a_deleted_object_takes_the_condition_along(cluster: ControlPlane) -> None:
    """So an installation is removed: agents first, then their objects, while the controller runs."""
    make_node(cluster, "left", OURS)
    report(cluster, "left", state="Critical")
    wait_for(lambda: condition(cluster, "left") == ("True", "Critical"), "the condition is true")
    cluster.kubectl("delete", "overcommitnode", "left")
    wait_for(
        lambda: condition(cluster, "left") == ("", "") and keys(cluster, "left") == [], "the node is clean"
    )
    time.sleep(STALE_SECONDS + SWEEP_SECONDS)
    assert condition(cluster, "left") == ("", "")


def test_a_recreated_object_does_not_forget_a_relief(cluster: ControlPlane, namespace: str) -> None:
    relief_cluster.configure(cluster, staleSeconds=600, coolDownSeconds=600)
    make_node(cluster, "renewed")
    guests = [make_pod(cluster, namespace, name, "renewed") for name in ("wild", "other")]
    report(cluster, "renewed", *guests)
    relief_cluster.wait_for_stage(cluster, "renewed", "CoolingDown")
    cluster.kubectl("delete", "overcommitnode", "renewed")
    report(cluster, "renewed", guests[1], request_id="r2")
    relief_cluster.wait_for_stage(cluster, "renewed", "CoolingDown")
    assert pod_exists(cluster, guests[1])
