"""The API server puts what decides about pods and what thousands report into different priority levels."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from overbook.deploy.installation import AGENT, CONTROLLER, Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.waiting import wait_for

LEASES = "/apis/coordination.k8s.io/v1/namespaces/overbook/leases"
AGENT_LEASES = LEASES.replace("/overbook/", "/overbook-node/")
OBJECTS = "/apis/overbook.dev/v1alpha1/overcommitnodes"
Level = Callable[[str, str, str], str]


@pytest.fixture(scope="module")
def level(cluster: ControlPlane, installed: Installation) -> Level:
    """The level's name, of a request with an account's token, as the answer's header says it."""
    listed = json.loads(cluster.kubectl("get", "prioritylevelconfigurations", "--output=json"))["items"]
    names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in listed}
    context = ssl.create_default_context(cadata=_pem(cluster))
    tokens = {
        AGENT: cluster.token(installed.namespace_of("agent"), AGENT),
        CONTROLLER: cluster.token(installed.namespace_of("controller"), CONTROLLER),
    }

    def level_of(account: str, method: str, path: str) -> str:
        data = b"{}" if method in ("POST", "PUT", "PATCH") else None
        request = urllib.request.Request(f"{cluster.server}{path}", data, method=method)  # noqa: S310 - https
        request.add_header("Authorization", f"Bearer {tokens[account]}")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request.add_header("Content-Type", kind)
        try:
            with urllib.request.urlopen(request, context=context, timeout=20) as answer:  # noqa: S310 - https
                headers: Any = answer.headers
        except urllib.error.HTTPError as error:
            headers = error.headers
        return str(names.get(headers["X-Kubernetes-PF-PriorityLevel-UID"], ""))

    wait_for(lambda: level_of(AGENT, "GET", OBJECTS) == AGENT, "the flow schemas are in force")
    return level_of


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{OBJECTS}?watch=1&timeoutSeconds=1"),
        ("PATCH", f"{OBJECTS}/a/status"),
        ("PATCH", f"{AGENT_LEASES}/a"),
        ("POST", AGENT_LEASES),
        ("POST", "/api/v1/namespaces/default/events"),
        ("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3Da"),
    ],
)
def test_agents_have_a_level_of_their_own(level: Level, method: str, path: str) -> None:
    assert level(AGENT, method, path) == AGENT


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/namespaces/default/pods/a/eviction"),
        ("PATCH", f"{OBJECTS}/a/status"),
        ("GET", "/api/v1/nodes?limit=1"),
        ("GET", f"{LEASES}?limit=1"),
    ],
)
def test_evictions_and_records_are_among_high_workloads(level: Level, method: str, path: str) -> None:
    assert level(CONTROLLER, method, path) == "workload-high"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{LEASES}/{CONTROLLER}"), ("PUT", f"{LEASES}/{CONTROLLER}"), ("POST", LEASES)],
)
def test_the_leaders_lease_is_among_leader_elections(level: Level, method: str, path: str) -> None:
    assert level(CONTROLLER, method, path) == "leader-election"


def _pem(cluster: ControlPlane) -> str:
    return cluster.pki.authority_pem.decode("ascii")
