"""The agent's API thread runs with its real rights; then with each of them taken away in turn.

The API server of this module has no WatchList, as older ones: there a list comes before the watch, so that
each of the two rights is missed when it is not there.
"""

import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Self

import pytest

from overbook.agent.api.thread import ApiThread
from overbook.agent.api.worker import Worker
from overbook.agent.bridge import Bridge, Notice, Report
from overbook.agent.settings import AgentSettings
from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.api.overcommit_node import TAINT_KEY, OvercommitNodeStatus
from overbook.deploy.rights import AGENT_RIGHTS, Right
from overbook.deploy.yaml_text import yaml_text
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.conftest import started
from tests.cluster.fewer_rights import Needed, each_verb, with_rights_of
from tests.cluster.installing import install
from tests.waiting import wait_for

NODE = "rights"
NAMESPACE = "rights-namespace"
NODES = f"/api/v1/nodes/{NODE}"
OBJECT = f"/apis/overbook.dev/v1alpha1/overcommitnodes/{NODE}"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/overbook-node/leases/{NODE}"
OVERCOMMIT = "/apis/overbook.dev/v1alpha1/overcommits/cluster"
EVENTS = "/api/v1/namespaces/default/events"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


def pod(name: str, namespace: str, account: str = "default") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": NODE,
            "serviceAccountName": account,
            "containers": [{"name": "main", "image": "none"}],
            "tolerations": [{"operator": "Exists"}],
        },
    }


class World(NamedTuple):
    """In this cluster the agent has its rights.

    Attributes:
        admin: who changes things.
        kubeconfig: the agent's, with a token that is bound to its pod.
    """

    admin: UserClient
    kubeconfig: str


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("rights-cluster")
    for cluster in started(request, folder, api_server_arguments=["--feature-gates=WatchList=false"]):
        install(cluster)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        cluster.kubectl("create", "-f", "-", stdin=yaml_text([node, space]))
        for namespace, account in (("overbook-node", "overbook-agent"), (NAMESPACE, "default")):
            made = (
                "get",
                "serviceaccount",
                account,
                "--namespace",
                namespace,
                "--ignore-not-found",
                "-oname",
            )
            wait_for(partial(cluster.kubectl, *made), f"account {account}")
            cluster.kubectl("create", "-f", "-", stdin=yaml_text([pod("there", namespace, account)]))
        token = cluster.token("overbook-node", "overbook-agent", bound_pod="there")
        yield World(UserClient(cluster.kubeconfig), cluster.kubeconfig_for(token, name="agent"))


class Agent:
    """The agent's API thread gets from the test what a tick would leave in the bridge."""

    def __init__(self, world: World) -> None:
        self.bridge = Bridge()
        settings = AgentSettings(
            kube=True, kubeconfig=world.kubeconfig, node_name=NODE, heartbeat_seconds=1.0
        )
        self._thread = ApiThread(self.bridge, Worker(settings, self.bridge, "instance").run)
        self._number = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()
        self.bridge.close()

    def tell(self, *, tainted: bool) -> None:
        self._number += 1
        status = OvercommitNodeStatus(agent_instance="instance", agent_version=f"{self._number}")
        self.bridge.leave(Report(status=status, tainted=tainted))

    def note(self) -> None:
        self.bridge.note(Notice(reason="Test", message="the same again", repeats=True))


Check = Callable[[World, Agent], bool]


def knows_pods(_: World, agent: Agent) -> bool:
    return bool(agent.bridge.news.pods)


def knows_the_new_pod(_: World, agent: Agent) -> bool:
    return any(pod.metadata.name == "new" for pod in (agent.bridge.news.pods or {}).values())


def knows_labels(_: World, agent: Agent) -> bool:
    return NAMESPACE in agent.bridge.news.namespaces


def sees_the_new_label(_: World, agent: Agent) -> bool:
    return agent.bridge.news.namespaces.get(NAMESPACE, {}).get("overbook.dev/swap") == "disabled"


def knows_overcommit(_: World, agent: Agent) -> bool:
    return isinstance(agent.bridge.news.overcommit, OvercommitSpec)


def is_paused(_: World, agent: Agent) -> bool:
    overcommit = agent.bridge.news.overcommit
    return isinstance(overcommit, OvercommitSpec) and overcommit.paused


def knows_its_node(_: World, agent: Agent) -> bool:
    return bool(agent.bridge.news.node_uid)


def taints(world: World, _: Agent) -> bool:
    return any(each["key"] == TAINT_KEY for each in world.admin.ask("GET", NODES)["spec"].get("taints", []))


def puts_a_taint_back(world: World, agent: Agent) -> bool:
    return taints(world, agent)


def knows_its_object(_: World, agent: Agent) -> bool:
    return agent.bridge.news.own_known


def sees_what_the_controller_writes(_: World, agent: Agent) -> bool:
    own = agent.bridge.news.own
    return own is not None and own.relief is not None


def has_an_object(world: World, _: Agent) -> bool:
    return not world.admin.refusal("GET", OBJECT)


def has_a_status(world: World, _: Agent) -> bool:
    return has_an_object(world, _) and bool(
        world.admin.ask("GET", OBJECT).get("status", {}).get("agentInstance")
    )


def lease_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = {} if world.admin.refusal("GET", LEASE) else world.admin.ask("GET", LEASE)["spec"]
    return found


def has_a_lease(world: World, _: Agent) -> bool:
    return bool(lease_of(world))


def renews_its_lease(world: World, _: Agent) -> bool:
    lease = lease_of(world)
    return lease.get("acquireTime") != lease.get("renewTime")


def events(world: World) -> list[dict[str, Any]]:
    listed = world.admin.ask("GET", EVENTS, fieldSelector=f"involvedObject.name={NODE},reason=Test")["items"]
    found: list[dict[str, Any]] = listed
    return found


def tells_an_event(world: World, _: Agent) -> bool:
    return bool(events(world))


def counts_an_event(world: World, _: Agent) -> bool:
    return any(each["count"] > 1 for each in events(world))


NEEDS: dict[Needed, Check] = {
    ("pods", "list"): knows_pods,
    ("pods", "watch"): knows_the_new_pod,
    ("namespaces", "list"): knows_labels,
    ("namespaces", "watch"): sees_the_new_label,
    ("nodes", "list"): knows_its_node,
    ("nodes", "watch"): puts_a_taint_back,
    ("nodes", "get"): taints,
    ("nodes", "patch"): taints,
    ("overcommits", "list"): knows_overcommit,
    ("overcommits", "watch"): is_paused,
    ("overcommitnodes", "list"): knows_its_object,
    ("overcommitnodes", "watch"): sees_what_the_controller_writes,
    ("overcommitnodes", "create"): has_an_object,
    ("overcommitnodes", "patch"): has_an_object,
    ("overcommitnodes/status", "patch"): has_a_status,
    ("leases", "create"): has_a_lease,
    ("leases", "get"): has_a_lease,
    ("leases", "patch"): renews_its_lease,
    ("events", "create"): tells_an_event,
    ("events", "patch"): counts_an_event,
}
"""What fails without each right. The kubelet's is looked at below."""


LATER: tuple[Check, ...] = (
    knows_the_new_pod,
    sees_the_new_label,
    puts_a_taint_back,
    is_paused,
    sees_what_the_controller_writes,
    counts_an_event,
)
"""What can only be seen after something changed."""


def reset(world: World) -> None:
    """Bring the cluster into the state that a new agent finds."""
    admin = world.admin
    admin.refusal("DELETE", OBJECT)
    admin.refusal("DELETE", LEASE)
    admin.refusal("DELETE", f"{PODS}/new", {"gracePeriodSeconds": 0})
    for each in events(world):
        admin.ask("DELETE", f"{EVENTS}/{each['metadata']['name']}")
    admin.ask("PATCH", NODES, {"spec": {"taints": None}}, MERGE)
    admin.ask("PATCH", OVERCOMMIT, {"spec": {"paused": False}}, MERGE)
    label(admin, "enabled")


def label(admin: UserClient, word: str) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    admin.ask("PATCH", path, {"metadata": {"labels": {"overbook.dev/swap": word}}}, MERGE)


def change(world: World) -> None:
    """Change what a watch has to report."""
    admin = world.admin
    admin.refusal("POST", PODS, pod("new", NAMESPACE))
    admin.ask("PATCH", NODES, {"spec": {"taints": None}}, MERGE)
    admin.ask("PATCH", OVERCOMMIT, {"spec": {"paused": True}}, MERGE)
    label(admin, "disabled")
    if not admin.refusal("GET", OBJECT):
        admin.ask("PATCH", f"{OBJECT}/status", {"status": {"relief": {"stage": "Waiting"}}}, MERGE)


def test_agent_works_with_all_its_rights(world: World) -> None:
    reset(world)
    with Agent(world) as agent:
        agent.tell(tainted=True)
        agent.note()
        for check in NEEDS.values():
            if check not in LATER:
                wait_for(partial(check, world, agent), check.__name__)
        agent.note()
        change(world)
        for check in LATER:
            wait_for(partial(check, world, agent), check.__name__)


EVERY = [
    (right, verb) for right, verb in each_verb(AGENT_RIGHTS) if not right.resources[0].startswith("nodes/")
]


def test_every_right_of_the_agent_is_needed_by_a_check() -> None:
    assert {(right.resources[0], verb) for right, verb in EVERY} == NEEDS.keys()


@pytest.mark.parametrize(
    ("right", "verb"), EVERY, ids=[f"{verb} {' '.join(right.resources)}" for right, verb in EVERY]
)
def test_agent_fails_without_any_one_of_its_rights(
    world: World, caplog: pytest.LogCaptureFixture, right: Right, verb: str
) -> None:
    caplog.set_level(logging.INFO)
    (resource,) = right.resources
    check = NEEDS[resource, verb]
    refused = f'cannot {verb} resource "{resource}"'
    reset(world)
    less = with_rights_of(world.admin, "overbook-agent", AGENT_RIGHTS, right, verb)
    with less, Agent(world) as agent:
        agent.tell(tainted=True)
        agent.note()
        wait_for(lambda: heard(world, agent, caplog, refused), f"the agent says: {refused}")
        change(world)
        before = caplog.text.count(refused)
        wait_for(lambda: caplog.text.count(refused) > before or said_once(refused), "another try")
        assert not check(world, agent), f"it works without: {right.why}"


def heard(world: World, agent: Agent, caplog: pytest.LogCaptureFixture, refused: str) -> bool:
    """Return whether the refusal occurred. An event is only patched when it comes again."""
    if "patch" in refused and "events" in refused and tells_an_event(world, agent):
        agent.note()
    return refused in caplog.text


def said_once(refused: str) -> bool:
    """Return whether a refusal is logged once and not each time; then the test waits no longer."""
    return "watch" not in refused and "list" not in refused


@pytest.mark.parametrize(
    ("resource", "allowed"), [("pods", True), ("configz", True), ("proxy", False), ("log", False)]
)
def test_kubelet_lets_the_agent_read_pods_and_configuration_only(
    world: World, resource: str, allowed: bool
) -> None:
    """A kubelet checks `nodes/pods` for `/pods` and so on (KEP-2862); `nodes/proxy` would be everything."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:overbook-node:overbook-agent",
            "resourceAttributes": {
                "verb": "get",
                "version": "v1",
                "resource": "nodes",
                "subresource": resource,
                "name": NODE,
            },
        },
    }
    answer = world.admin.ask("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    assert answer["status"]["allowed"] is allowed
