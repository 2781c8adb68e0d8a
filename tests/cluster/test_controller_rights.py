"""The controller runs with its real rights; then with each of them taken away in turn.

The API server of this module has no WatchList, as older ones: there a list comes before the watch, so that
each of the two rights is missed when it is not there.
"""

import pathlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest

from overbook.core.api.heartbeat import HEARTBEAT_LABELS
from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_EFFECT, TAINT_KEY
from overbook.core.timestamp import to_timestamp
from overbook.deploy.rights import CONTROLLER_RIGHTS, Right
from overbook_sandbox.cluster.background import Background
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.cluster.hollow_nodes import HollowNodes
from overbook_sandbox.cluster.hollow_status import HollowNode
from overbook_sandbox.kubevirt.manifests import installation as kubevirt
from tests.cluster import relief_cluster
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.conftest import started
from tests.cluster.fewer_rights import Needed, each_verb, with_rights_of
from tests.cluster.installing import apply_manifests, install
from tests.waiting import wait_for

ACCOUNT = "overbook-controller"
NODE, SILENT, GONE, FREE = "rights-asking", "rights-silent", "rights-gone", "rights-free"
NODES = "/api/v1/nodes"
OBJECTS = "/apis/overbook.dev/v1alpha1/overcommitnodes"
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/overbook/leases"
LEASE = f"{LEASES}/{ACCOUNT}"
AGENT_LEASES = LEASES.replace("/overbook/", "/overbook-node/")
INSTANCES = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances"
OVERRIDES = "/apis/overbook.dev/v1alpha1/namespaces/default/resourceoverrides"
OVERRIDE = {"apiVersion": "overbook.dev/v1alpha1", "kind": "ResourceOverride", "metadata": {"name": "all"}}
INSTANCE = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachineInstance",
    "metadata": {"name": "guest"},
    "spec": {"evictionStrategy": "LiveMigrate", "domain": {}},
}
MIGRATABLE = {"nodeName": NODE, "conditions": [{"type": "LiveMigratable", "status": "True"}]}
"""So that KubeVirt's limits have to be known before it is asked to go. No webhook of KubeVirt's keeps it."""


class World(NamedTuple):
    """This cluster has nodes in every state that the controller acts on.

    Attributes:
        cluster: the control plane.
        admin: who looks.
        kubeconfig: the controller's.
        folder: for its logs.
    """

    cluster: ControlPlane
    admin: UserClient
    kubeconfig: str
    folder: pathlib.Path


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("controller-rights")
    for cluster in started(request, folder, api_server_arguments=["--feature-gates=WatchList=false"]):
        install(cluster)
        apply_manifests(cluster, [each for each in kubevirt() if each["kind"] == "CustomResourceDefinition"])
        admin = UserClient(cluster.kubeconfig)
        wait_for(partial(is_served, admin), "KubeVirt's kinds")
        admin.ask("POST", INSTANCES, INSTANCE)
        admin.refusal("PATCH", f"{INSTANCES}/guest/status", {"status": MIGRATABLE}, MERGE)
        relief_cluster.configure(cluster, coolDownSeconds=0, staleSeconds=5)
        admin.ask("POST", OVERRIDES, OVERRIDE)
        for node in (NODE, SILENT):
            relief_cluster.make_node(cluster, node)
        token = cluster.token("overbook", ACCOUNT)
        # Where the guest could go: a node that nobody keeps alive counts as lost within a minute.
        free = HollowNodes(cluster.kubeconfig, [HollowNode(FREE)], renew_seconds=4)
        with Background(free.run, "hollow node"):
            yield World(cluster, admin, cluster.kubeconfig_for(token, name="controller"), folder)


def is_served(admin: UserClient) -> bool:
    return not admin.refusal("GET", INSTANCES)


def reset(world: World) -> None:
    """Create a pod that must leave, a tainted node whose agent is silent, and an object without its node."""
    cluster, admin = world.cluster, world.admin
    for path in (LEASE, f"{OBJECTS}/{NODE}", f"{PODS}/guest"):
        admin.refusal("DELETE", path, {"gracePeriodSeconds": 0})
    wait_for(lambda: admin.refusal("GET", f"{PODS}/guest"), "the old guest is gone")
    for node in (NODE, SILENT):
        admin.ask(
            "PATCH", f"{NODES}/{node}/status", {"status": {"conditions": [relief_cluster.READY]}}, MERGE
        )
    taint = {"key": TAINT_KEY, "effect": TAINT_EFFECT}
    admin.ask("PATCH", f"{NODES}/{SILENT}", {"spec": {"taints": [taint]}}, MERGE)
    admin.ask("PATCH", f"{OVERRIDES}/all/status", {"status": None}, MERGE)
    instance = admin.ask("GET", f"{INSTANCES}/guest")
    owner = {name: instance[name] for name in ("apiVersion", "kind")} | {"name": "guest", "controller": True}
    owner["uid"] = instance["metadata"]["uid"]  # of another one, and the pod is collected as garbage
    guest = relief_cluster.make_pod(cluster, "default", "guest", NODE, ownerReferences=[owner])
    relief_cluster.report(cluster, NODE, guest)
    lease = {"metadata": {"name": GONE, "labels": HEARTBEAT_LABELS}, "spec": {"holderIdentity": "gone"}}
    admin.refusal("POST", AGENT_LEASES, lease)
    for node in (SILENT, GONE):
        relief_cluster.report(cluster, node, state="None")
        long_ago = {"status": {"observedAt": to_timestamp(time.time() - 7200)}}
        admin.ask("PATCH", f"{OBJECTS}/{node}/status", long_ago, MERGE)


def moves_the_guest(world: World) -> bool:
    return bool(world.admin.refusal("GET", f"{PODS}/guest"))


def takes_the_silent_nodes_taint_away(world: World) -> bool:
    taints = world.admin.ask("GET", f"{NODES}/{SILENT}")["spec"].get("taints", [])
    return all(each["key"] != TAINT_KEY for each in taints)


def sets_the_condition(world: World) -> bool:
    conditions = world.admin.ask("GET", f"{NODES}/{NODE}")["status"]["conditions"]
    return any(each["type"] == PRESSURE_CONDITION for each in conditions)


def removes_what_is_left_of_a_node(world: World) -> bool:
    return bool(world.admin.refusal("GET", f"{OBJECTS}/{GONE}"))


def removes_the_lease_of_a_node(world: World) -> bool:
    return bool(world.admin.refusal("GET", f"{AGENT_LEASES}/{GONE}"))


def events(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.admin.ask("GET", EVENTS, fieldSelector="reason=ReliefStarted")[
        "items"
    ]
    return found


def tells_an_event(world: World) -> bool:
    return bool(events(world))


def counts_an_event(world: World) -> bool:
    return any(each["count"] > 1 for each in events(world))


def says_whether_an_override_counts(world: World) -> bool:
    status = world.admin.ask("GET", f"{OVERRIDES}/all").get("status", {})
    return any(each["type"] == "Ignored" for each in status.get("conditions", []))


NEEDS: dict[Needed, Callable[[World], bool]] = {
    ("overcommitnodes", "list"): moves_the_guest,
    ("overcommitnodes", "watch"): moves_the_guest,
    ("overcommitnodes/status", "patch"): moves_the_guest,
    ("overcommitnodes", "delete"): removes_what_is_left_of_a_node,
    ("overcommits", "list"): moves_the_guest,
    ("overcommits", "watch"): moves_the_guest,
    ("nodes", "list"): moves_the_guest,
    ("nodes", "watch"): moves_the_guest,
    ("nodes", "get"): removes_what_is_left_of_a_node,
    ("nodes", "patch"): takes_the_silent_nodes_taint_away,
    ("nodes/status", "patch"): sets_the_condition,
    ("pods", "get"): moves_the_guest,
    ("pods/eviction", "create"): moves_the_guest,
    ("virtualmachineinstances", "get"): moves_the_guest,
    ("virtualmachineinstancemigrations", "list"): moves_the_guest,
    ("virtualmachineinstancemigrations", "watch"): moves_the_guest,
    ("kubevirts", "list"): moves_the_guest,
    ("kubevirts", "watch"): moves_the_guest,
    ("events", "create"): tells_an_event,
    ("events", "patch"): counts_an_event,
    ("resourceoverrides", "list"): says_whether_an_override_counts,
    ("resourceoverrides", "watch"): says_whether_an_override_counts,
    ("resourceoverrides/status", "patch"): says_whether_an_override_counts,
    ("namespaces", "list"): says_whether_an_override_counts,
    ("namespaces", "watch"): says_whether_an_override_counts,
    ("leases", "list"): takes_the_silent_nodes_taint_away,
    ("leases", "watch"): takes_the_silent_nodes_taint_away,
    ("leases", "delete"): removes_the_lease_of_a_node,
    ("leases", "get"): moves_the_guest,
    ("leases", "create"): moves_the_guest,
}
"""What fails without each right."""

RARE: set[Needed] = {
    ("overcommitnodes", "get"),
    ("leases", "update"),
    ("virtualmachineinstances/evacuate", "update"),
    ("virtualmachineinstances/evacuate/cancel", "update"),
    ("virtualmachineinstancemigrations", "delete"),
}
"""After a conflict of two writers, when a lease is taken over, and when a live migration is given up: other
tests bring those about (``test_relief_migrates`` runs with exactly these rights)."""

EVERY = each_verb(CONTROLLER_RIGHTS)


def test_every_right_of_the_controller_is_needed_by_a_check() -> None:
    assert {(right.resources[0], verb) for right, verb in EVERY} == NEEDS.keys() | RARE


def test_controller_works_with_all_its_rights(world: World) -> None:
    for _ in range(2):  # an event is counted when it comes again
        reset(world)
        with relief_cluster.controller(world.kubeconfig, world.folder) as process:
            for check in set(NEEDS.values()) - {counts_an_event}:
                wait_for(partial(check, world), check.__name__)
            process.stop()
    wait_for(partial(counts_an_event, world), "the event is counted")


@pytest.mark.parametrize(
    ("right", "verb"),
    [(right, verb) for right, verb in EVERY if (right.resources[0], verb) not in RARE],
    ids=[f"{verb} {right.resources[0]}" for right, verb in EVERY if (right.resources[0], verb) not in RARE],
)
def test_controller_fails_without_any_one_of_its_rights(world: World, right: Right, verb: str) -> None:
    (resource,) = right.resources
    check = NEEDS[resource, verb]
    refused = f'cannot {verb} resource "{resource}"'
    reset(world)
    for each in events(world):
        world.admin.ask("DELETE", f"{EVENTS}/{each['metadata']['name']}")
    with (
        with_rights_of(world.admin, ACCOUNT, CONTROLLER_RIGHTS, right, verb),
        relief_cluster.controller(world.kubeconfig, world.folder) as process,
    ):
        wait_for(lambda: refused in told(world, process), f"the controller says: {refused}")
        assert not check(world), f"it works without: {right.why}"


def told(world: World, process: relief_cluster.ControllerProcess) -> str:
    """Return the controller's log, and the refusals of a pod in its node's record."""
    return process.log.read_text() + str(world.admin.ask("GET", f"{OBJECTS}/{NODE}"))
