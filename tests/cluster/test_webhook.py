import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.certificates.made import made_at
from tests.cluster.certificates import certified
from tests.cluster.installing import apply_manifests
from tests.cluster.webhooks import (
    ACCOUNT,
    define_openshift_kinds,
    install_webhook,
    open_namespace,
    override_of_cluster,
    point_to,
    remove_openshift_kinds,
    requests_of,
    start_webhook,
    try_pod,
    wait_for_warning,
    webhook_kubeconfig,
)
from tests.waiting import wait_for
from tests.webhook.documented import PERCENTAGES, cases
from tests.webhook.running import Webhook, limit_range

POD = {
    "metadata": {"name": "cart"},
    "spec": {"containers": [{"name": "c0", "image": "cart", "resources": {"limits": {"memory": "1000Mi"}}}]},
}


@pytest.fixture(scope="module")
def webhook(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """The webhook watches a cluster that has OpenShift's kinds."""
    define_openshift_kinds(cluster)
    apply_manifests(cluster, [override_of_cluster(**PERCENTAGES)])
    kubeconfig = install_webhook(cluster)
    with certified(cluster, tmp_path_factory.mktemp("webhook")) as mount:
        server = start_webhook(kubeconfig, mount, "--discovery-seconds", "1")
        point_to(cluster, server.port)
        server.wait_ready()
        yield server
        server.stop()
    cluster.kubectl("delete", "mutatingwebhookconfiguration", ACCOUNT, "--ignore-not-found")
    remove_openshift_kinds(cluster)


def test_pods_are_overridden_as_in_the_documents_table(cluster: ControlPlane, webhook: Webhook) -> None:
    spaces = [open_namespace(cluster) for _ in cases()]
    for space, case in zip(spaces, cases(), strict=True):
        if case.limit_range:
            apply_manifests(cluster, [limit_range("sizes", space, case.limit_range)])
    for space, case in zip(spaces, cases(), strict=True):
        wait_for_warning(cluster, space, case.pod, f"Warning: {case.warning}" if case.warning else "")
        pod, said = try_pod(cluster, space, case.pod)
        assert pod is not None, said
        assert requests_of(pod) == case.requests_afterwards
        assert said.strip() == (f"Warning: {case.warning}" if case.warning else "")
    _, metrics = webhook.get("/metrics")
    for space in spaces:
        assert f'namespace="{space}"' in metrics
    for space in spaces:
        cluster.kubectl("delete", "namespace", space, "--wait=false")


def test_an_override_below_the_limit_range_is_forbidden(cluster: ControlPlane, namespace: str) -> None:
    """The documents' trap without its solution: half of a limit is below the minimum."""
    apply_manifests(
        cluster, [limit_range("sizes", namespace, {"type": "Container", "min": {"memory": "100Mi"}})]
    )
    pod = json.loads(json.dumps(POD))
    pod["spec"]["containers"][0]["resources"] = {
        "limits": {"memory": "110Mi"},
        "requests": {"memory": "55Mi"},
    }
    said = wait_for(
        lambda: try_pod(cluster, namespace, pod, "--dry-run=server")[1], "the LimitRange is enforced"
    )
    assert "minimum memory usage per Container is 100Mi, but request is 55Mi" in said


@pytest.mark.usefixtures("webhook")
def test_webhook_waits_for_its_certificate(cluster: ControlPlane, tmp_path: Path) -> None:
    """It is not ready without one, takes the first that can be used, and keeps it over an unusable one."""
    first, second = made_at(time.time(), 3600.0), made_at(time.time(), 3600.0)
    server = start_webhook(webhook_kubeconfig(cluster), tmp_path)
    try:
        wait_for(lambda: answers(server) == (503, "there is no certificate yet\n"), "the webhook waits")
        (tmp_path / "tls.crt").write_text(first.certificate, encoding="ascii")
        (tmp_path / "tls.key").write_text(second.key, encoding="ascii")
        time.sleep(1)
        assert answers(server)[0] == 503
        (tmp_path / "tls.key").write_text(first.key, encoding="ascii")
        server.wait_ready()
        (tmp_path / "tls.crt").write_text("junk", encoding="ascii")
        time.sleep(1)
        with server.socket() as connection:
            shown = connection.getpeercert(binary_form=True)
        assert shown == ssl.PEM_cert_to_DER_cert(first.certificate)
        assert server.process.poll() is None
    finally:
        server.stop()


def answers(server: Webhook) -> tuple[int, str]:
    try:
        return server.get("/readyz")
    except OSError:
        return 0, ""


@pytest.mark.usefixtures("webhook")
def test_the_closest_override_wins_and_changes_are_followed(cluster: ControlPlane) -> None:
    space = open_namespace(cluster)
    wait_for_warning(cluster, space, POD, "1000Mi -> 500Mi: 50 % of limit, ClusterResourceOverride/cluster")
    closer: dict[str, Any] = {
        "apiVersion": "autoscaling.openshift.io/v1",
        "kind": "ResourceOverride",
        "metadata": {"name": "batch", "namespace": space},
        "spec": {"podResourceOverride": {"memoryRequestToLimitPercent": 10}},
    }
    apply_manifests(cluster, [closer])
    wait_for_warning(cluster, space, POD, "1000Mi -> 100Mi: 10 % of limit, ResourceOverride/batch")
    cluster.kubectl("annotate", "-n", space, f"{_RESOURCE_OVERRIDES}/batch", "overbook.dev/mode=Observe")
    wait_for_warning(cluster, space, POD, "not applied (Observe): memory request 1000Mi -> 100Mi")
    cluster.kubectl("delete", "-n", space, f"{_RESOURCE_OVERRIDES}/batch")
    apply_manifests(cluster, [override_of_cluster(memoryRequestToLimitPercent=25)])
    wait_for_warning(cluster, space, POD, "1000Mi -> 250Mi: 25 % of limit, ClusterResourceOverride/cluster")
    cluster.kubectl(
        "annotate", "namespace", space, "quota.openshift.io/cluster-resource-override-enabled=false"
    )
    wait_for(lambda: not try_pod(cluster, space, POD, "--dry-run=server")[1], "the project is switched off")
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
def test_own_kinds_serve_until_openshifts_exist(
    cluster: ControlPlane,
) -> None:
    space = open_namespace(cluster)
    own = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "ResourceOverride",
        "metadata": {"name": "all", "namespace": space},
        "spec": {"podResourceOverride": {"memoryRequestToLimitPercent": 40}},
    }
    apply_manifests(cluster, [own])
    remove_openshift_kinds(cluster)
    wait_for_warning(cluster, space, POD, "1000Mi -> 400Mi: 40 % of limit, ResourceOverride/all")
    cluster.kubectl("delete", "-n", space, "resourceoverrides.overbook.dev/all")
    wait_for(lambda: not try_pod(cluster, space, POD, "--dry-run=server")[1], "there is no override")
    define_openshift_kinds(cluster)
    apply_manifests(cluster, [override_of_cluster(**PERCENTAGES)])
    wait_for_warning(cluster, space, POD, "1000Mi -> 500Mi: 50 % of limit, ClusterResourceOverride/cluster")
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
def test_no_pod_is_changed_without_an_overcommit(cluster: ControlPlane) -> None:
    space = open_namespace(cluster)
    wait_for_warning(cluster, space, POD, "1000Mi -> 500Mi: 50 % of limit, ClusterResourceOverride/cluster")
    found = json.loads(cluster.kubectl("get", "overcommit", "cluster", "-o", "json"))
    cluster.kubectl("delete", "overcommit", "cluster")
    wait_for_warning(cluster, space, POD, "not applied (Observe): memory request 1000Mi -> 500Mi")
    pod, _ = try_pod(cluster, space, POD, "--dry-run=server")
    assert requests_of(pod) == {"memory": "1000Mi"}
    about = {"name": "cluster"}
    again = {
        "apiVersion": found["apiVersion"],
        "kind": "Overcommit",
        "metadata": about,
        "spec": found["spec"],
    }
    apply_manifests(cluster, [again])
    wait_for_warning(cluster, space, POD, "1000Mi -> 500Mi: 50 % of limit, ClusterResourceOverride/cluster")
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.parametrize(
    "attack",
    ["1,024 idle connections", "1,024 with 65 kB of a body", "500 addresses, 2 idle connections each"],
)
def test_pods_are_overridden_while_strangers_take_all_places(
    cluster: ControlPlane, webhook: Webhook, attack: str
) -> None:
    space = open_namespace(cluster)
    wait_for_warning(cluster, space, POD, "ClusterResourceOverride/cluster")
    command = [sys.executable, "-m", "bench.strangers", "reviews", attack, str(webhook.port)]
    strangers = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        wait_for(lambda: _dropped(webhook) > 50, "strangers take more places than there are")
        for number in range(10):
            pod, said = try_pod(cluster, space, {**POD, "metadata": {"name": f"cart-{number}"}})
            assert requests_of(pod) == {"memory": "500Mi"}, said
        assert strangers.poll() is None
    finally:
        strangers.kill()
        strangers.wait()
        cluster.kubectl("delete", "namespace", space, "--wait=false")


def _dropped(webhook: Webhook) -> int:
    name = "overbook_webhook_connections_dropped_total "
    return int(webhook.get("/metrics")[1].partition(f"\n{name}")[2].partition("\n")[0] or 0)


def test_a_pod_is_created_unchanged_while_its_webhook_is_down(
    cluster: ControlPlane, webhook: Webhook
) -> None:
    space = open_namespace(cluster)
    wait_for_warning(cluster, space, POD, "ClusterResourceOverride/cluster")
    status, log = webhook.stop()
    assert status == 0, log
    assert "Traceback" not in log
    pod, said = try_pod(cluster, space, POD)
    assert requests_of(pod) == {"memory": "1000Mi"}
    assert not said
    cluster.kubectl("delete", "namespace", space, "--wait=false")


_RESOURCE_OVERRIDES = "resourceoverrides.autoscaling.openshift.io"
