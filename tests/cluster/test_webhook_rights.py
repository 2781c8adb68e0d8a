"""The webhook runs with its real rights; then with each of them taken away in turn.

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

from overbook.deploy.rights import WEBHOOK_RIGHTS, Right
from tests.cluster.as_user import UserClient
from tests.cluster.conftest import started
from tests.cluster.fewer_rights import each_verb, with_rights_of
from tests.cluster.installing import apply_manifests, install
from tests.waiting import wait_for

ACCOUNT = "overbook-webhook"
SECRET = "/api/v1/namespaces/overbook/secrets/overbook-webhook-tls"
READY, SERVING, PUBLISHED = " ready\n", "serving the certificate of", "caBundle of"
STAGED = "the next certificate is in the Secret"
"""What the webhook says when it has done something."""

NEEDS = {
    ("namespaces", "list"): READY,
    ("namespaces", "watch"): READY,
    ("limitranges", "list"): READY,
    ("limitranges", "watch"): READY,
    ("overcommits", "list"): READY,
    ("overcommits", "watch"): READY,
    ("resourceoverrides", "list"): READY,
    ("resourceoverrides", "watch"): READY,
    ("clusterresourceoverrides", "list"): READY,
    ("clusterresourceoverrides", "watch"): READY,
    ("mutatingwebhookconfigurations", "get"): PUBLISHED,
    ("mutatingwebhookconfigurations", "patch"): PUBLISHED,
    ("secrets", "get"): SERVING,
    ("secrets", "create"): SERVING,
    ("secrets", "patch"): STAGED,
}
"""What fails without each right."""

EVERY = each_verb(WEBHOOK_RIGHTS)


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

    admin: UserClient
    kubeconfig: str
    folder: pathlib.Path


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
        token = cluster.token("overbook", ACCOUNT)
        yield World(UserClient(cluster.kubeconfig), cluster.kubeconfig_for(token, name="webhook"), folder)


@contextlib.contextmanager
def webhook(world: World) -> Iterator[pathlib.Path]:
    """Run the webhook with a certificate that is soon to be renewed, and return its log."""
    world.admin.refusal("DELETE", SECRET)
    log = world.folder / f"webhook-{time.monotonic_ns()}.log"
    soon = ("--certificate-seconds=20", "--certificate-poll-seconds=0.5", "--certificate-settle-seconds=1")
    ports = ("--host=127.0.0.1", "--port=0", "--status-port=0", "--drain-seconds=0")
    command = (sys.executable, "-m", "overbook", "webhook", "--self-signed", "--kubeconfig", world.kubeconfig)
    with log.open("wb") as output:
        process = subprocess.Popen((*command, *soon, *ports), stdout=output, stderr=output)  # noqa: S603 - ours
    try:
        yield log
    finally:
        process.kill()
        process.wait()
        print(log.read_text())


def test_every_right_of_the_webhook_is_needed_by_a_check() -> None:
    assert {(right.resources[0], verb) for right, verb in EVERY} == NEEDS.keys()


def test_webhook_works_with_all_its_rights(world: World) -> None:
    with webhook(world) as log:
        for said in (SERVING, PUBLISHED, READY, STAGED):
            wait_for(lambda said=said: said in log.read_text(), said)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("right", "verb"), EVERY, ids=[f"{verb} {right.resources[0]}.{right.group}" for right, verb in EVERY]
)
def test_webhook_fails_without_any_one_of_its_rights(world: World, right: Right, verb: str) -> None:
    (resource,) = right.resources
    refused = f'cannot {verb} resource "{resource}" in API group "{right.group}"'
    with with_rights_of(world.admin, ACCOUNT, WEBHOOK_RIGHTS, right, verb), webhook(world) as log:
        wait_for(lambda: refused in log.read_text(), f"the webhook says: {refused}")
        assert NEEDS[resource, verb] not in log.read_text(), f"it works without: {right.why}"
