"""What the controller's account may change of a Node, on the real API server with its real rights."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.api.overcommit_node import PRESSURE_CONDITION, TAINT_EFFECT, TAINT_KEY
from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.as_user import MERGE, OPERATIONS, STRATEGIC, UserClient
from tests.waiting import wait_for

NAME = "policy-controlled"
NODE = f"/api/v1/nodes/{NAME}"
STATUS = f"{NODE}/status"
TAINT = {"key": TAINT_KEY, "effect": TAINT_EFFECT}
FOREIGN = {"key": "example.com/kept", "value": "yes", "effect": "NoSchedule"}
READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
PRESSURE = {"type": PRESSURE_CONDITION, "status": "True", "reason": "Critical", "message": "a rule fires"}
IMAGES = [{"names": [f"registry.example/image-{number}:1"], "sizeBytes": 1 << 30} for number in range(50)]
"""As many as a kubelet reports: the policy compares them."""


@pytest.fixture(scope="module")
def admin(cluster: ControlPlane, installed: Installation) -> Iterator[UserClient]:
    assert installed
    admin = UserClient(cluster.kubeconfig)
    about = {"name": NAME, "labels": {"zone": "a"}, "annotations": {"note": "b"}}
    spec = {"taints": [FOREIGN, TAINT], "providerID": f"test://{NAME}"}
    admin.ask("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": about, "spec": spec})
    status = {"conditions": [READY], "images": IMAGES, "capacity": {"cpu": "2", "memory": "8Gi"}}
    admin.ask("PATCH", STATUS, {"status": status}, MERGE)
    yield admin
    cluster.kubectl("delete", "node", NAME)


@pytest.fixture(scope="module")
def controller(cluster: ControlPlane, admin: UserClient) -> UserClient:
    """The controller's account, and its policy is in force."""
    assert admin
    token = cluster.token("overbook", "overbook-controller")
    controller = UserClient.with_token(cluster, token, "controller")
    change = {"metadata": {"labels": {"policy": "in-force"}}}
    wait_for(
        lambda: "not change labels" in controller.refusal("PATCH", NODE, change, MERGE, dryRun="All"),
        "the policy is in force",
    )
    return controller


@pytest.fixture
def unpatched(admin: UserClient) -> Iterator[dict[str, Any]]:
    """The node with both taints; it is as before when the test ends."""

    def kept(node: dict[str, Any]) -> dict[str, Any]:
        found = copy.deepcopy(node)
        for moving in ("resourceVersion", "managedFields"):
            del found["metadata"][moving]
        return found

    admin.ask("PATCH", NODE, {"spec": {"taints": [FOREIGN, TAINT]}}, MERGE)
    before = admin.ask("GET", NODE)
    yield before
    assert kept(admin.ask("GET", NODE)) == kept(before)


def test_controller_sets_and_changes_its_condition(controller: UserClient, admin: UserClient) -> None:
    for status in ("True", "False"):
        patch = {"status": {"conditions": [{**PRESSURE, "status": status}]}}
        controller.ask("PATCH", STATUS, patch, STRATEGIC)
    conditions = {each["type"]: each["status"] for each in admin.ask("GET", NODE)["status"]["conditions"]}
    assert (conditions["Ready"], conditions[PRESSURE_CONDITION]) == ("True", "False")
    gone = {"status": {"conditions": [{"type": PRESSURE_CONDITION, "$patch": "delete"}]}}
    controller.ask("PATCH", STATUS, gone, STRATEGIC)


def test_controller_removes_its_taint_beside_others(controller: UserClient, admin: UserClient) -> None:
    admin.ask("PATCH", NODE, {"spec": {"taints": [FOREIGN, TAINT]}}, MERGE)
    controller.ask("PATCH", NODE, [{"op": "remove", "path": "/spec/taints/1"}], OPERATIONS)
    assert admin.ask("GET", NODE)["spec"]["taints"] == [FOREIGN]
    said = controller.refusal(
        "PATCH", NODE, [{"op": "add", "path": "/spec/taints/-", "value": TAINT}], OPERATIONS
    )
    assert "the controller may only remove the taint" in said


REFUSED: dict[str, tuple[str, Any, str, str]] = {
    "a label": (NODE, {"metadata": {"labels": {"zone": "b"}}}, MERGE, "may not change labels"),
    "a label through the status": (STATUS, {"metadata": {"labels": {"zone": "b"}}}, MERGE, "may not change"),
    "an annotation": (NODE, {"metadata": {"annotations": {"note": None}}}, MERGE, "may not change labels"),
    "a finalizer": (NODE, {"metadata": {"finalizers": ["example.com/stay"]}}, MERGE, "may not change labels"),
    "a cordon": (NODE, {"spec": {"unschedulable": True}}, MERGE, "nothing in the spec of a node"),
    "a network": (NODE, {"spec": {"podCIDR": "10.1.0.0/24"}}, MERGE, "nothing in the spec of a node"),
    "another's taint removed": (NODE, {"spec": {"taints": [TAINT]}}, MERGE, "may only remove the taint"),
    "all taints removed": (NODE, {"spec": {"taints": None}}, MERGE, "may only remove the taint"),
    "another taint": (
        *(NODE, [{"op": "add", "path": "/spec/taints/-", "value": {**FOREIGN, "key": "example.com/more"}}]),
        *(OPERATIONS, "may only remove the taint"),
    ),
    "its taint with an effect that evicts": (
        *(NODE, [{"op": "replace", "path": "/spec/taints/1/effect", "value": "NoExecute"}]),
        *(OPERATIONS, "may only remove the taint"),
    ),
    "readiness": (
        *(STATUS, {"status": {"conditions": [{**READY, "status": "False"}]}}),
        *(STRATEGIC, "nothing in the status of a node"),
    ),
    "another's condition removed": (
        *(STATUS, {"status": {"conditions": [{"type": "Ready", "$patch": "delete"}]}}),
        *(STRATEGIC, "nothing in the status of a node"),
    ),
    "a new condition": (
        *(STATUS, {"status": {"conditions": [{**READY, "type": "Other"}]}}),
        *(STRATEGIC, "nothing in the status of a node"),
    ),
    "capacity": (
        STATUS,
        {"status": {"capacity": {"memory": "1Ti"}}},
        MERGE,
        "nothing in the status of a node",
    ),
    "images": (STATUS, {"status": {"images": None}}, MERGE, "nothing in the status of a node"),
    "an address": (
        *(STATUS, {"status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}),
        *(MERGE, "nothing in the status of a node"),
    ),
}


@pytest.mark.usefixtures("unpatched")
@pytest.mark.parametrize("what", REFUSED)
def test_controller_is_refused_all_other_changes_of_nodes(controller: UserClient, what: str) -> None:
    path, body, content_type, message = REFUSED[what]
    said = controller.refusal("PATCH", path, body, content_type)
    assert said.startswith("403 ")
    assert message in said


@pytest.mark.usefixtures("controller")
def test_other_users_change_nodes_as_before(admin: UserClient) -> None:
    admin.ask("PATCH", NODE, {"metadata": {"labels": {"zone": "c"}}, "spec": {"unschedulable": True}}, MERGE)
    admin.ask("PATCH", NODE, {"spec": {"unschedulable": None}}, MERGE)
    admin.ask("PATCH", STATUS, {"status": {"capacity": {"memory": "9Gi"}}}, MERGE)
