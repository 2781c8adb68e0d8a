import copy
import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from overbook.core.api.group import API_VERSION
from overbook.core.api.overcommit import Overcommit
from overbook.core.api.overcommit_node import MOST_CANDIDATES, OvercommitNode
from overbook.core.api.override import OverridePolicy, check
from overbook.core.errors import InvalidInput
from overbook.deploy.custom_resources import overcommit_nodes
from overbook.deploy.installation import Installation, Manifest
from overbook_sandbox.cluster.control_plane import ControlPlane, KubectlError
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.installing import apply_manifests
from tests.deploy.full_node import full_node, full_status
from tests.waiting import wait_for

OVERCOMMITS = "/apis/overbook.dev/v1alpha1/overcommits"
NODES = "/apis/overbook.dev/v1alpha1/overcommitnodes"


@pytest.fixture(scope="module")
def admin(cluster: ControlPlane, installed: Installation) -> UserClient:
    assert installed
    return UserClient(cluster.kubeconfig)


@pytest.fixture
def node(admin: UserClient) -> Iterator[str]:
    """Return the path of an OvercommitNode without any content."""
    admin.ask("POST", NODES, {**full_node("of-structs"), "status": {}})
    yield f"{NODES}/of-structs"
    admin.ask("DELETE", f"{NODES}/of-structs")


def wished(admin: UserClient, name: str = "cluster", **spec: Any) -> str:
    """Return the API server's objection to a spec; empty if it has none. Nothing is stored."""
    obj = {"apiVersion": API_VERSION, "kind": "Overcommit", "metadata": {"name": name}, "spec": spec}
    path = f"{OVERCOMMITS}/{name}"
    return admin.refusal(
        "PATCH", path, obj, "application/apply-patch+yaml", fieldManager="t", force="true", dryRun="All"
    )


def test_defaults_of_the_definition_are_the_structs(admin: UserClient) -> None:
    admin.ask("DELETE", f"{OVERCOMMITS}/cluster")
    specs: tuple[dict[str, Any], ...] = ({}, {"spec": {}}, {"spec": {"relief": {}}})
    for spec in specs:
        obj = {"apiVersion": API_VERSION, "kind": "Overcommit", "metadata": {"name": "cluster"}, **spec}
        answer = admin.ask("POST", OVERCOMMITS, obj, dryRun="All")
        stored = answer["spec"]
        assert stored == {
            key: value for key, value in msgspec.to_builtins(Overcommit().spec).items() if value is not None
        }
    admin.ask("POST", OVERCOMMITS, obj | {"spec": {"mode": "Observe"}})


def test_only_one_overcommit_is_accepted(admin: UserClient) -> None:
    assert wished(admin) == ""
    said = wished(admin, "another")
    assert "there is one Overcommit in a cluster, and its name is cluster" in said


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"percentage": 9}, "spec.percentage in body should be greater than or equal to 10"),
        ({"percentage": 1001}, "spec.percentage in body should be less than or equal to 1000"),
        ({"mode": "observe"}, 'Unsupported value: "observe": supported values: "Enforce", "Observe"'),
        ({"relief": {"lastResort": "Kill"}}, 'supported values: "Delete", "None"'),
        ({"relief": {"coolDownSeconds": -1}}, "should be greater than or equal to 0"),
        ({"paused": "yes"}, "spec.paused"),
        ({"percentag": 120}, "field not declared in schema"),
    ],
)
def test_an_invalid_spec_is_refused(admin: UserClient, spec: dict[str, Any], message: str) -> None:
    assert message in wished(admin, **spec)


@pytest.mark.parametrize("field", msgspec.structs.fields(OverridePolicy), ids=lambda field: field.name)
def test_percentages_of_an_override_end_where_the_rule_ends(
    admin: UserClient, field: msgspec.structs.FieldInfo
) -> None:
    for percent in (-1, 0, 100, 101, 1_000_000, 1_000_001):
        try:
            check(OverridePolicy(**{field.name: percent}))
            allowed = True
        except InvalidInput:
            allowed = False
        said = wished(admin, override={field.encode_name: percent})
        assert (said == "") is allowed, (percent, said)


def test_a_full_status_comes_back_unchanged(admin: UserClient, node: str) -> None:
    status = full_status()
    answer = admin.ask("PATCH", f"{node}/status", {"status": status}, MERGE)
    assert answer["status"] == status
    assert (
        msgspec.convert(answer, OvercommitNode).status
        == msgspec.convert({"metadata": {}, "status": status}, OvercommitNode).status
    )


def test_lists_are_bounded(admin: UserClient, node: str) -> None:
    candidates = [{"uid": str(i), "namespace": "a", "name": "b"} for i in range(MOST_CANDIDATES + 1)]
    request = {"id": "1", "decidedAt": "2026-01-02T03:04:05Z", "candidates": candidates}
    said = admin.refusal("PATCH", f"{node}/status", {"status": {"request": request}}, MERGE)
    assert f"must have at most {MOST_CANDIDATES} items" in said


def test_words_and_fields_of_a_newer_version_lose_nothing_else(admin: UserClient, node: str) -> None:
    newer = full_status()
    newer["pressure"]["state"] = "Desperate"
    newer["forecast"] = {"bytes": 1}
    newer["request"]["candidates"][0]["mood"] = "calm"
    stored = admin.ask("PATCH", f"{node}/status", {"status": newer}, MERGE)["status"]
    assert stored["pressure"]["state"] == "Desperate"
    assert stored == newer


def older(definition: Manifest) -> Manifest:
    """Return the definition as an earlier version might have had it, beside the present one."""
    group = "older.overbook.dev"
    found = copy.deepcopy(definition)
    found["metadata"]["name"] = f"oldernodes.{group}"
    found["spec"]["group"] = group
    found["spec"]["names"] |= {"kind": "OlderNode", "listKind": "OlderNodeList"}
    found["spec"]["names"] |= {"plural": "oldernodes", "singular": "oldernode"}
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    del schema["problems"], schema["swap"]["properties"]["demandedBytes"]
    del schema["relief"]["properties"]["migration"]
    return found


def test_newer_writers_work_with_an_older_definition(cluster: ControlPlane, admin: UserClient) -> None:
    definition = older(overcommit_nodes())
    apply_manifests(cluster, [definition])
    path = "/apis/older.overbook.dev/v1alpha1/oldernodes/one"
    obj = {"apiVersion": "older.overbook.dev/v1alpha1", "kind": "OlderNode", "metadata": {"name": "one"}}

    def served() -> bool:
        try:
            cluster.kubectl("get", "oldernodes", "--output=name")
        except KubectlError:
            return False
        return True

    wait_for(served, "the older definition is served")
    admin.apply(path, obj, "overbook-agent")
    status = full_status()
    relief = status.pop("relief")
    admin.apply(f"{path}/status", obj | {"status": status}, "overbook-agent")
    admin.apply(f"{path}/status", obj | {"status": {"relief": relief}}, "overbook-controller")
    status["problems"] = []
    stored = admin.apply(f"{path}/status", obj | {"status": status}, "overbook-agent")["status"]
    assert stored == status | {"relief": relief}
    cluster.kubectl("delete", "customresourcedefinition", definition["metadata"]["name"], "--wait=false")


def test_kubectl_shows_what_matters(cluster: ControlPlane, admin: UserClient, node: str) -> None:
    admin.ask("PATCH", f"{node}/status", {"status": full_status()}, MERGE)
    lines = cluster.kubectl("get", "overcommitnode", "of-structs").splitlines()
    shown = dict(itertools.pairwise(lines))[lines[0]]
    assert lines[0].split() == ["NAME", "PRESSURE", "RELIEF", "VICTIM", "MODE", "SEEN"]
    assert shown.startswith("of-structs   Critical   Asking")


def test_kubectl_explains_the_fields(cluster: ControlPlane, admin: UserClient) -> None:
    assert admin
    said = cluster.kubectl("explain", "overcommit.spec.relief.coolDownSeconds")
    assert "after a pod has left, before the next pod of the same node is evicted" in " ".join(said.split())
