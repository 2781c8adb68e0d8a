import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.api.group import API_VERSION
from overbook.core.api.heartbeat import HEARTBEAT_LABELS
from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY
from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.as_user import APPLY, JSON, MERGE, OPERATIONS, STRATEGIC, UserClient
from tests.waiting import wait_for

OWN, OTHER = "policy-own", "policy-other"
NODES = "/api/v1/nodes"
OBJECTS = "/apis/overbook.dev/v1alpha1/overcommitnodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/overbook-node/leases"
EVENTS = "/api/v1/namespaces/default/events"
TAINT = {"key": TAINT_KEY, "effect": TAINT_EFFECT}
FOREIGN = {"key": "example.com/kept", "value": "yes", "effect": "NoSchedule"}


def node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"zone": "a"}, "annotations": {"note": "b"}},
        "spec": {"taints": [FOREIGN], "providerID": f"test://{name}"},
    }


def pod(name: str, on: str | None) -> dict[str, Any]:
    spec = {
        "serviceAccountName": "overbook-agent",
        "containers": [{"name": "agent", "image": "none"}],
        "tolerations": [{"operator": "Exists"}],
    }
    where = {"nodeName": on} if on else {"schedulingGates": [{"name": "example.com/never"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "overbook-node"},
        "spec": {**spec, **where},
    }


@pytest.fixture(scope="module")
def admin(cluster: ControlPlane, installed: Installation) -> Iterator[UserClient]:
    admin = UserClient(cluster.kubeconfig)
    for name in (OWN, OTHER):
        admin.ask("POST", NODES, node(name))
    yield admin
    cluster.kubectl(
        "delete", "pods", "--namespace", installed.node_namespace, "--all", "--force", "--grace-period=0"
    )
    cluster.kubectl("delete", "nodes", OWN, OTHER)
    cluster.kubectl("delete", "overcommitnodes", OWN, OTHER, "--ignore-not-found")


def own_node(admin: UserClient) -> dict[str, Any]:
    """The spec of the agent's node, without the taints that the control plane sets and removes itself."""
    spec: dict[str, Any] = admin.ask("GET", f"{NODES}/{OWN}")["spec"]
    spec["taints"] = [each for each in spec["taints"] if not each["key"].startswith("node.kubernetes.io/")]
    return spec


def bound(cluster: ControlPlane, admin: UserClient, name: str, on: str | None) -> UserClient:
    """The agent's token is bound to its pod."""
    admin.ask("POST", "/api/v1/namespaces/overbook-node/pods", pod(name, on))
    token = cluster.token("overbook-node", "overbook-agent", bound_pod=name)
    return UserClient.with_token(cluster, token, name)


@pytest.fixture(scope="module")
def agent(cluster: ControlPlane, admin: UserClient) -> UserClient:
    """The agent of the node OWN is ready, and the policies are in force."""
    agent = bound(cluster, admin, "agent-own", OWN)
    change = {"metadata": {"labels": {"policy": "in-force"}}}
    wait_for(
        lambda: "not change labels" in agent.refusal("PATCH", f"{NODES}/{OWN}", change, MERGE, dryRun="All"),
        "the policies are in force",
    )
    return agent


def own_object(name: str = OWN, **status: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "OvercommitNode", "metadata": {"name": name}}
    return {**found, "status": status} if status else found


def lease(name: str, **metadata: Any) -> dict[str, Any]:
    about = {"name": name, "labels": HEARTBEAT_LABELS, **metadata}
    return {"metadata": about, "spec": {"holderIdentity": "one"}}


def event(called: str, host: str = OWN, component: str = "overbook-agent", **about: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": called, "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": OWN, "apiVersion": "v1"} | about,
        "reason": "MemoryPressure",
        "message": "a test",
        "type": "Warning",
        "source": {"component": component, "host": host},
    }


def test_agent_writes_its_own_object_and_status(agent: UserClient) -> None:
    agent.apply(f"{OBJECTS}/{OWN}", own_object(), "overbook-agent")
    path = f"{OBJECTS}/{OWN}/status"
    answer = agent.apply(path, own_object(agentVersion="1", pressure={"state": "Critical"}), "overbook-agent")
    assert answer["status"]["pressure"]["state"] == "Critical"


def test_agent_creates_and_renews_its_own_lease(agent: UserClient, admin: UserClient) -> None:
    agent.ask("POST", LEASES, lease(OWN))
    renewal = [{"op": "replace", "path": "/spec/holderIdentity", "value": "another"}]
    assert agent.ask("PATCH", f"{LEASES}/{OWN}", renewal, OPERATIONS)["spec"]["holderIdentity"] == "another"
    admin.ask("DELETE", f"{LEASES}/{OWN}")


def test_agent_renews_a_lease_that_others_have_marked(agent: UserClient, admin: UserClient) -> None:
    """What others put on it must not make a working agent look silent."""
    admin.ask("POST", LEASES, lease(OWN, finalizers=["example.com/stay"]))
    renewal = {"metadata": {"labels": HEARTBEAT_LABELS}, "spec": {"holderIdentity": "two"}}
    assert agent.ask("PATCH", f"{LEASES}/{OWN}", renewal, MERGE)["spec"]["holderIdentity"] == "two"
    removal = {"metadata": {"finalizers": None}}
    assert "may not set finalizers" in agent.refusal("PATCH", f"{LEASES}/{OWN}", removal, MERGE)
    admin.ask("PATCH", f"{LEASES}/{OWN}", removal, MERGE)
    admin.ask("DELETE", f"{LEASES}/{OWN}")


def test_agent_never_touches_another_lease(agent: UserClient, admin: UserClient) -> None:
    admin.ask("POST", LEASES, lease(OTHER))
    admin.ask("POST", LEASES, {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "leader"}})
    for name in (OTHER, "leader"):
        said = agent.refusal("PATCH", f"{LEASES}/{name}", {"spec": {"holderIdentity": "me"}}, MERGE)
        assert f"may write only the Lease {OWN}, not {name}" in said
        admin.ask("DELETE", f"{LEASES}/{name}")
    elsewhere = LEASES.replace("/overbook-node/", "/kube-system/")
    assert 'cannot create resource "leases"' in agent.refusal("POST", elsewhere, lease(OWN), JSON)


def test_agent_writes_its_status_beside_the_controllers_part(agent: UserClient, admin: UserClient) -> None:
    agent.apply(f"{OBJECTS}/{OWN}", own_object(), "overbook-agent")
    admin.apply(f"{OBJECTS}/{OWN}/status", own_object(relief={"stage": "Asking"}), "overbook-controller")
    path = f"{OBJECTS}/{OWN}/status"
    answer = agent.apply(path, own_object(agentVersion="2"), "overbook-agent")
    assert answer["status"]["relief"] == {"stage": "Asking"}
    assert "status.relief is written by the controller" in agent.refusal(
        "PATCH",
        path,
        own_object(relief={"stage": "Ending"}),
        APPLY,
        fieldManager="overbook-agent",
        force="true",
    )
    assert "status.relief is written by the controller" in agent.refusal(
        "PATCH", path, {"status": {"relief": None}}, MERGE
    )


def test_agent_sets_and_removes_its_taint_beside_others(agent: UserClient, admin: UserClient) -> None:
    path = f"{NODES}/{OWN}"
    agent.ask("PATCH", path, [{"op": "add", "path": "/spec/taints/-", "value": TAINT}], OPERATIONS)
    assert [each["key"] for each in own_node(admin)["taints"]] == [FOREIGN["key"], TAINT_KEY]

    def removed() -> bool:
        """Whether it is removed now: a taint that the control plane removes meanwhile moves its place."""
        keys = [each["key"] for each in admin.ask("GET", path)["spec"]["taints"]]
        place = f"/spec/taints/{keys.index(TAINT_KEY)}"
        test = {"op": "test", "path": f"{place}/key", "value": TAINT_KEY}
        said = agent.refusal("PATCH", path, [test, {"op": "remove", "path": place}], OPERATIONS)
        assert said == "" or said.startswith("422 "), said
        return said == ""

    wait_for(removed, "the agent's taint is removed")
    assert own_node(admin)["taints"] == [FOREIGN]


def test_agent_writes_events_about_its_node_and_pods(agent: UserClient) -> None:
    agent.ask("POST", EVENTS, event("own-node"))
    agent.ask("POST", EVENTS, event("a-pod", kind="Pod", name="guest", namespace="default"))
    agent.ask("PATCH", f"{EVENTS}/own-node", {"count": 2}, MERGE)


REFUSED: dict[str, tuple[str, str, Any, str, str]] = {
    "another node's object": (
        *("PATCH", f"{OBJECTS}/{OTHER}", own_object(OTHER), APPLY),
        f"the agent of node {OWN} may write only the OvercommitNode {OWN}, not {OTHER}",
    ),
    "a finalizer on its object": (
        *("PATCH", f"{OBJECTS}/{OWN}"),
        {**own_object(), "metadata": {"name": OWN, "finalizers": ["example.com/stay"]}},
        APPLY,
        "an agent may not set finalizers",
    ),
    "another node's lease": (
        *("POST", LEASES, lease(OTHER), JSON),
        f"the agent of node {OWN} may write only the Lease {OWN}, not {OTHER}",
    ),
    "the leader's lease": (
        *("POST", LEASES, lease("overbook-controller"), JSON),
        f"may write only the Lease {OWN}, not overbook-controller",
    ),
    "a lease without the labels": (
        *("POST", LEASES, lease(OWN, labels={}), JSON),
        "an agent may write only a Lease with the labels of agents",
    ),
    "a finalizer on its lease": (
        *("POST", LEASES, lease(OWN, finalizers=["example.com/stay"]), JSON),
        "an agent may not set finalizers or owners of its Lease",
    ),
    "another node": (
        *("PATCH", f"{NODES}/{OTHER}", {"spec": {"taints": [TAINT]}}, STRATEGIC),
        f"the agent of node {OWN} may change only that node, not {OTHER}",
    ),
    "another's taint taken away": (
        *("PATCH", f"{NODES}/{OWN}", {"spec": {"taints": None}}, MERGE),
        f"an agent may add and remove only the taint {TAINT_KEY}",
    ),
    "another's taint changed": (
        *(
            "PATCH",
            f"{NODES}/{OWN}",
            [{"op": "replace", "path": "/spec/taints/0/effect", "value": "NoExecute"}],
        ),
        OPERATIONS,
        f"an agent may add and remove only the taint {TAINT_KEY}",
    ),
    # A node's taints have no merge key: a strategic patch replaces all of them.
    "all taints replaced": (
        *("PATCH", f"{NODES}/{OWN}", {"spec": {"taints": [TAINT]}}, STRATEGIC),
        f"an agent may add and remove only the taint {TAINT_KEY}",
    ),
    "its taint with an effect that evicts": (
        *("PATCH", f"{NODES}/{OWN}"),
        [{"op": "add", "path": "/spec/taints/-", "value": {**TAINT, "effect": "NoExecute"}}],
        OPERATIONS,
        f"an agent may add and remove only the taint {TAINT_KEY}:{TAINT_EFFECT}",
    ),
    "its node cordoned": (
        *("PATCH", f"{NODES}/{OWN}", {"spec": {"unschedulable": True}}, MERGE),
        "an agent may change nothing of its node but one taint",
    ),
    "labels of its node": (
        *("PATCH", f"{NODES}/{OWN}", {"metadata": {"labels": {"zone": "b"}}}, MERGE),
        "an agent may not change labels",
    ),
    "annotations of its node": (
        *("PATCH", f"{NODES}/{OWN}", {"metadata": {"annotations": {"note": None}}}, MERGE),
        "an agent may not change labels, annotations",
    ),
    "a finalizer on its node": (
        *("PATCH", f"{NODES}/{OWN}", {"metadata": {"finalizers": ["example.com/stay"]}}, MERGE),
        "an agent may not change labels, annotations, finalizers",
    ),
    "the status of its node": (
        *("PATCH", f"{NODES}/{OWN}/status", {"status": {"phase": "Running"}}, MERGE),
        'cannot patch resource "nodes/status"',
    ),
    "an event about another node": (
        *("POST", EVENTS, event("other-node", name=OTHER), JSON),
        f"an agent may write events only about pods and its own node, not about Node {OTHER}",
    ),
    "an event about something else": (
        *("POST", EVENTS, event("a-secret", kind="Secret", name="s", namespace="default"), JSON),
        "an agent may write events only about pods and its own node, not about Secret s",
    ),
    "an event in another node's name": (
        *("POST", EVENTS, event("in-disguise", host=OTHER), JSON),
        f"an event of this agent has source.component overbook-agent and source.host {OWN}",
    ),
    "an event in another component's name": (
        *("POST", EVENTS, event("as-kubelet", component="kubelet"), JSON),
        "an event of this agent has source.component overbook-agent",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_agent_is_refused_all_other_writes(agent: UserClient, admin: UserClient, what: str) -> None:
    method, path, body, content_type, message = REFUSED[what]
    before = own_node(admin)
    query = {"fieldManager": "overbook-agent", "force": "true"} if content_type == APPLY else {}
    said = agent.refusal(method, path, body, content_type, **query)
    assert said.startswith("403 ")
    assert message in said
    assert own_node(admin) == before


def test_agent_may_not_change_an_event_of_another(agent: UserClient, admin: UserClient) -> None:
    admin.ask("POST", EVENTS, event("of-the-kubelet", component="kubelet"))
    taken = {"source": {"component": "overbook-agent", "host": OWN}, "message": "all is well"}
    said = agent.refusal("PATCH", f"{EVENTS}/of-the-kubelet", taken, MERGE)
    assert "an agent may change only its own events" in said


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{OBJECTS}/{OWN}", own_object()),
        (f"{NODES}/{OWN}", {"spec": {"taints": [TAINT]}}),
        (LEASES, lease(OWN)),
    ],
    ids=["object", "taint", "lease"],
)
def test_a_token_without_a_node_writes_nothing(
    cluster: ControlPlane, agent: UserClient, path: str, body: dict[str, Any]
) -> None:
    assert agent
    unbound = UserClient.with_token(cluster, cluster.token("overbook-node", "overbook-agent"), "unbound")
    method, kind = ("POST", JSON) if path == LEASES else ("PATCH", STRATEGIC)
    query = {}
    if path.startswith(OBJECTS):
        kind, query = APPLY, {"fieldManager": "overbook-agent", "force": "true"}
    assert "this one names no node" in unbound.refusal(method, path, body, kind, **query)


def test_a_token_of_a_pod_without_a_node_writes_nothing(
    cluster: ControlPlane, admin: UserClient, agent: UserClient
) -> None:
    assert agent
    nowhere = bound(cluster, admin, "agent-nowhere", None)
    said = nowhere.refusal("PATCH", f"{NODES}/{OWN}", {"spec": {"taints": [TAINT]}}, STRATEGIC)
    assert "this one names no node" in said


def test_other_users_write_nodes_and_events_as_before(
    cluster: ControlPlane, admin: UserClient, agent: UserClient
) -> None:
    assert agent
    admin.ask("PATCH", f"{NODES}/{OTHER}", {"metadata": {"labels": {"zone": "c"}}}, MERGE)
    admin.ask("POST", EVENTS, event("admins", host="", component="someone", kind="Secret"))
    kubelet = UserClient(cluster.user_kubeconfig(f"system:node:{OTHER}", ["system:nodes"]))
    kubelet.ask("PATCH", f"{NODES}/{OTHER}", {"metadata": {"annotations": {"note": "c"}}}, MERGE)


def test_the_api_server_finds_no_fault_with_the_policies(
    cluster: ControlPlane, installed: Installation
) -> None:
    assert installed

    def checked() -> list[Any]:
        listed = json.loads(cluster.kubectl("get", "validatingadmissionpolicies", "--output=json"))["items"]
        ours = [each for each in listed if re.match("overbook-", each["metadata"]["name"])]
        return ours if all("typeChecking" in each.get("status", {}) for each in ours) else []

    for policy in wait_for(checked, "the controller manager has checked the policies' types"):
        assert policy["status"]["typeChecking"] == {}, policy["metadata"]["name"]
