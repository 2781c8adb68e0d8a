"""Webhook and renewal run with their real rights; then with each of them taken away in turn.

The API server of this module has no WatchList, as older ones: there a list comes before the watch, so that
each of the two rights is missed when it is not there.
"""

import contextlib
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from overbook.deploy.rights import CERTIFICATES_RIGHTS, WEBHOOK_RIGHTS, Right
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.certificates.made import made_at
from tests.cluster.as_user import MERGE, OPERATIONS, UserClient
from tests.cluster.certificates import SECRET, renewal
from tests.cluster.conftest import started
from tests.cluster.fewer_rights import each_verb, with_rights_of
from tests.cluster.installing import apply_manifests, install
from tests.waiting import wait_for

WEBHOOK, RENEWAL = "overbook-webhook", "overbook-certificates"
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/overbook-webhook"
READY = " ready\n"
USED, PUBLISHED, STAGED = (
    "is used from now on",
    "updated the caBundle of",
    "is in the Secret, and not used yet",
)
"""What the processes say when they have done something."""

WEBHOOK_NEEDS = {
    ("namespaces", "list"),
    ("namespaces", "watch"),
    ("limitranges", "list"),
    ("limitranges", "watch"),
    ("overcommits", "list"),
    ("overcommits", "watch"),
    ("resourceoverrides", "list"),
    ("resourceoverrides", "watch"),
    ("clusterresourceoverrides", "list"),
    ("clusterresourceoverrides", "watch"),
}
"""The webhook is not ready without any of its rights."""

RENEWAL_NEEDS = {
    ("mutatingwebhookconfigurations", "get"): PUBLISHED,
    ("mutatingwebhookconfigurations", "patch"): PUBLISHED,
    ("secrets", "get"): STAGED,
    ("secrets", "create"): STAGED,
    ("secrets", "patch"): USED,
}
"""What fails without each right of the renewal."""

OF_WEBHOOK, OF_RENEWAL = each_verb(WEBHOOK_RIGHTS), each_verb(CERTIFICATES_RIGHTS)


def definition(group: str, plural: str, kind: str, scope: str) -> dict[str, Any]:
    """Return the definition of one of OpenShift's kinds, with any content."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    names = {"kind": kind, "plural": plural}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": scope, "names": names, "versions": [version]},
    }


class World(NamedTuple):
    """This cluster has every kind that the webhook follows."""

    cluster: ControlPlane
    admin: UserClient
    folder: pathlib.Path

    def kubeconfig(self, account: str) -> str:
        return self.cluster.kubeconfig_for(self.cluster.token("overbook", account), name=account)


@pytest.fixture(scope="module")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("webhook-rights")
    for cluster in started(request, folder, api_server_arguments=["--feature-gates=WatchList=false"]):
        install(cluster, "webhook")
        override = (
            "operator.autoscaling.openshift.io",
            "clusterresourceoverrides",
            "ClusterResourceOverride",
        )
        namespaced = ("autoscaling.openshift.io", "resourceoverrides", "ResourceOverride")
        kinds = [definition(*override, "Cluster"), definition(*namespaced, "Namespaced")]
        apply_manifests(cluster, kinds)
        yield World(cluster, UserClient(cluster.kubeconfig), folder)


@contextlib.contextmanager
def webhook(world: World) -> Iterator[pathlib.Path]:
    """Run the webhook with a certificate that somebody else made, and return its log."""
    log = world.folder / f"webhook-{time.monotonic_ns()}.log"
    mount = world.folder / f"tls-{time.monotonic_ns()}"
    mount.mkdir()
    made = made_at(time.time(), 3600.0)
    (mount / "tls.crt").write_text(made.certificate, encoding="ascii")
    (mount / "tls.key").write_text(made.key, encoding="ascii")
    ports = ("--host=127.0.0.1", "--port=0", "--status-port=0", "--drain-seconds=0")
    where = (f"--certificates={mount}", "--kubeconfig", world.kubeconfig(WEBHOOK))
    command = (sys.executable, "-m", "overbook", "webhook", *where, *ports)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        yield log
    finally:
        process.kill()
        process.wait()
        print(log.read_text())


@contextlib.contextmanager
def renewing(world: World) -> Iterator[pathlib.Path]:
    """Run the renewal where there is no certificate yet, and return its log."""
    world.admin.refusal("DELETE", SECRET)
    wipe = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": ""}]
    world.admin.refusal("PATCH", CONFIGURATION, wipe, OPERATIONS)
    log = world.folder / f"certificates-{time.monotonic_ns()}.log"
    with renewal(world.kubeconfig(RENEWAL), log, "--poll-seconds=0.5"):
        yield log


def test_every_right_of_webhook_and_renewal_is_needed_by_a_check() -> None:
    assert {(right.resources[0], verb) for right, verb in OF_WEBHOOK} == WEBHOOK_NEEDS
    assert {(right.resources[0], verb) for right, verb in OF_RENEWAL} == RENEWAL_NEEDS.keys()


def test_webhook_works_with_all_its_rights(world: World) -> None:
    with webhook(world) as log:
        wait_for(lambda: READY in log.read_text(), READY)


def test_renewal_works_with_all_its_rights(world: World) -> None:
    with renewing(world) as log:
        for said in (STAGED, PUBLISHED, USED):
            wait_for(lambda said=said: said in log.read_text(), said)  # type: ignore[misc]
        assert "WARNING" not in log.read_text()


@pytest.mark.parametrize(
    ("right", "verb"),
    OF_WEBHOOK,
    ids=[f"{verb} {right.resources[0]}.{right.group}" for right, verb in OF_WEBHOOK],
)
def test_webhook_fails_without_any_one_of_its_rights(world: World, right: Right, verb: str) -> None:
    (resource,) = right.resources
    refused = f'cannot {verb} resource "{resource}" in API group "{right.group}"'
    with with_rights_of(world.admin, WEBHOOK, WEBHOOK_RIGHTS, right, verb), webhook(world) as log:
        wait_for(lambda: refused in log.read_text(), f"the webhook says: {refused}")
        assert READY not in log.read_text(), f"it works without: {right.why}"


@pytest.mark.parametrize(
    ("right", "verb"), OF_RENEWAL, ids=[f"{verb} {right.resources[0]}" for right, verb in OF_RENEWAL]
)
def test_renewal_fails_without_any_one_of_its_rights(world: World, right: Right, verb: str) -> None:
    (resource,) = right.resources
    refused = f'cannot {verb} resource "{resource}" in API group "{right.group}"'
    with with_rights_of(world.admin, RENEWAL, CERTIFICATES_RIGHTS, right, verb), renewing(world) as log:
        wait_for(lambda: refused in log.read_text(), f"the renewal says: {refused}")
        assert RENEWAL_NEEDS[resource, verb] not in log.read_text(), f"it works without: {right.why}"


STOLEN = [
    ("PATCH", CONFIGURATION, [{"op": "replace", "path": "/webhooks/0/rules", "value": []}]),
    ("GET", CONFIGURATION, None),
    ("GET", SECRET, None),
    ("GET", "/api/v1/namespaces/overbook/secrets", None),
    ("PATCH", SECRET, [{"op": "remove", "path": "/data"}]),
    ("GET", "/api/v1/pods", None),
]


@pytest.mark.parametrize(
    ("method", "path", "body"), STOLEN, ids=[f"{each[0]} {each[1].rpartition('/')[2]}" for each in STOLEN]
)
def test_a_stolen_token_of_the_webhook_writes_and_reads_nothing(
    world: World, method: str, path: str, body: list[dict[str, Any]] | None
) -> None:
    stolen = UserClient(world.kubeconfig(WEBHOOK))
    assert stolen.refusal(method, path, body, OPERATIONS if body else MERGE).startswith("403 ")


def test_a_token_of_the_renewal_writes_only_its_two_objects(world: World) -> None:
    stolen = UserClient(world.kubeconfig(RENEWAL))
    change = {"metadata": {"labels": {"a": "b"}}}
    for path in (
        CONFIGURATION.replace("overbook-webhook", "another"),
        SECRET.replace("overbook-webhook-tls", "another"),
        SECRET.replace("namespaces/overbook", "namespaces/default"),
    ):
        assert stolen.refusal("PATCH", path, change, MERGE).startswith("403 ")
        assert stolen.refusal("GET", path).startswith("403 ")
    assert stolen.refusal("DELETE", CONFIGURATION).startswith("403 ")
    about = {"metadata": {"name": "overbook-webhook-tls"}}
    assert stolen.refusal("POST", "/api/v1/namespaces/default/secrets", about).startswith("403 ")
