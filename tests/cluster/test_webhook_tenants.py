"""No container, annotation or resize of a tenant takes a pod out of the override, on a real API server."""

import json
import random
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.certificates import certified
from tests.cluster.installing import apply_manifests
from tests.cluster.test_webhook_admissibility import _pod as random_pod
from tests.cluster.webhooks import (
    ACCOUNT,
    install_webhook,
    open_namespace,
    point_to,
    start_webhook,
    try_pod,
    wait_for_warning,
)
from tests.webhook.running import Webhook, limit_range

NOTE = "clusterresourceoverrides.admission.autoscaling.openshift.io/original-cpu-request-"
PROBE = {
    "metadata": {"name": "probe"},
    "spec": {"containers": [{"name": "c", "image": "c", "resources": {"limits": {"memory": "64Mi"}}}]},
}
POLICIES = ("memory", "cpu-limit", "request", "all")
PERCENTAGES: dict[str, dict[str, int]] = {
    "memory": {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25},
    "cpu-limit": {"memoryRequestToLimitPercent": 50, "limitCPUToMemoryPercent": 100},
    "request": {"memoryRequestToLimitPercent": 25, "cpuRequestToRequestPercent": 50},
    "all": {
        "memoryRequestToLimitPercent": 10,
        "limitCPUToMemoryPercent": 200,
        "cpuRequestToLimitPercent": 50,
        "cpuRequestToRequestPercent": 50,
    },
}


@pytest.fixture(scope="module")
def webhook(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    kubeconfig = install_webhook(cluster)
    with certified(cluster, tmp_path_factory.mktemp("webhook")) as mount:
        server = start_webhook(kubeconfig, mount)
        point_to(cluster, server.port)
        server.wait_ready()
        yield server
        server.stop()
    cluster.kubectl("delete", "mutatingwebhookconfiguration", ACCOUNT, "--ignore-not-found")


def space_with(cluster: ControlPlane, policy: str, *items: dict[str, Any]) -> str:
    space = open_namespace(cluster)
    override = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "ResourceOverride",
        "metadata": {"name": "all", "namespace": space},
        "spec": {"podResourceOverride": PERCENTAGES[policy]},
    }
    apply_manifests(cluster, [override])
    wait_for_warning(cluster, space, PROBE, "ResourceOverride/all")
    if items:
        apply_manifests(cluster, [limit_range("sizes", space, *items)])
    return space


def pod(*resources: dict[str, Any], name: str = "cart", **metadata: Any) -> dict[str, Any]:
    containers = [
        {"name": f"c{number}", "image": "cart", "resources": one} for number, one in enumerate(resources)
    ]
    # No scheduler takes it: on a node of another test, which may not know resizing, a resize is refused.
    spec = {"schedulerName": "nobody", "containers": containers}
    return {"metadata": {"name": name, **metadata}, "spec": spec}


def resize(cluster: ControlPlane, space: str, name: str, *resources: dict[str, Any]) -> tuple[Any, str]:
    """Resize a pod with kubectl, and return it (``None``: it was refused) and what kubectl says."""
    containers = [{"name": f"c{number}", "resources": one} for number, one in enumerate(resources)]
    patch = json.dumps({"spec": {"containers": containers}})
    command = [cluster._programs.path("kubectl"), f"--kubeconfig={cluster.kubeconfig}", "patch", "pod", name]
    command += [f"--namespace={space}", "--subresource=resize", "--output=json", "-p", patch]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - kubectl
    return (json.loads(done.stdout) if done.returncode == 0 else None), done.stderr


def resources_of(pod: Any, number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = pod["spec"]["containers"][number]["resources"]
    return found


@pytest.mark.usefixtures("webhook")
def test_a_tenants_helper_takes_no_container_out(cluster: ControlPlane) -> None:
    space = space_with(cluster, "cpu-limit")
    big = {"requests": {"memory": "64Gi"}, "limits": {"memory": "64Gi"}}
    helper = {"requests": {"cpu": "2"}, "limits": {"memory": "16Mi"}}
    made, said = try_pod(cluster, space, pod(helper, big), "--dry-run=server")
    assert resources_of(made, 0)["requests"] == {"cpu": "15m", "memory": "8Mi"}
    assert resources_of(made, 1)["requests"]["memory"] == "32Gi"
    assert "c0: CPU request 2 -> 15m: lowered to the CPU limit" in said
    for quantity in ("9Ei", "1e25"):
        strange = {"requests": {"memory": "1Mi"}, "limits": {"memory": quantity}}
        made, said = try_pod(cluster, space, pod(strange, big), "--dry-run=server")
        assert made is not None, said
        assert resources_of(made, 1)["requests"]["memory"] == "32Gi", said
        assert "c0: resources not overridden: " in said
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
def test_a_tenants_annotation_carries_no_pod_out(cluster: ControlPlane) -> None:
    space = space_with(cluster, "request")
    wanted = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    for noted in ("1000", "4", "junk", "0"):
        cart = pod(wanted, annotations={f"{NOTE}c0": noted})
        made, said = try_pod(cluster, space, cart, "--dry-run=server")
        assert resources_of(made)["requests"] == {"cpu": "1", "memory": "256Mi"}, said
        assert made["metadata"]["annotations"] == {f"{NOTE}c0": "2"}
    full = pod(wanted, annotations={"full": "x" * ((256 << 10) - 10)})
    made, said = try_pod(cluster, space, full, "--dry-run=server")
    assert resources_of(made)["requests"] == {"cpu": "1", "memory": "256Mi"}, said
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
def test_a_resize_does_not_undo_the_override(cluster: ControlPlane) -> None:
    space = space_with(cluster, "memory")
    wanted = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    made, said = try_pod(cluster, space, pod(wanted, wanted))
    overridden = {"cpu": "250m", "memory": "512Mi"}
    assert resources_of(made)["requests"] == overridden, said
    made, said = resize(cluster, space, "cart", wanted)
    assert made is not None, said
    assert resources_of(made)["requests"] == overridden
    assert "c0: memory request 1Gi -> 512Mi: 50 % of limit, ResourceOverride/all" in said
    larger = {"requests": {"memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    made, said = resize(cluster, space, "cart", larger)
    assert resources_of(made)["requests"] == {"cpu": "250m", "memory": "2Gi"}, said
    assert resources_of(made, 1)["requests"] == overridden
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
def test_resized_requests_are_scaled_and_classes_kept(cluster: ControlPlane) -> None:
    space = space_with(cluster, "request")
    made, said = try_pod(cluster, space, pod({"requests": {"cpu": "1"}, "limits": {"cpu": "4"}}))
    assert resources_of(made)["requests"] == {"cpu": "500m"}, said
    made, said = resize(cluster, space, "cart", {"requests": {"cpu": "3"}})
    assert resources_of(made)["requests"] == {"cpu": "1500m"}, said
    cluster.kubectl(
        "label", "namespace", space, "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled-"
    )
    guaranteed = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    made, said = try_pod(cluster, space, pod(guaranteed, name="old"))
    assert made is not None, said
    cluster.kubectl(
        "label",
        "namespace",
        space,
        "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled=true",
    )
    wait_for_warning(cluster, space, PROBE, "ResourceOverride/all")
    larger = {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}
    made, said = resize(cluster, space, "old", larger)
    assert resources_of(made)["requests"]["cpu"] == "2", said
    assert "a resize may not change the QoS class" in said
    cluster.kubectl("delete", "namespace", space, "--wait=false")


@pytest.mark.usefixtures("webhook")
@pytest.mark.parametrize("policy", POLICIES)
def test_pods_that_are_admitted_stay_so_with_the_override(cluster: ControlPlane, policy: str) -> None:
    """The API server itself judges: a random pod that it admits, it admits with the override, too."""
    chance = random.Random(f"tenants {policy}")
    items = (
        {"type": "Pod", "min": {"memory": "64Mi"}, "max": {"memory": "12Gi"}},
        {
            "type": "Container",
            "default": {"cpu": "2", "memory": "1Gi"},
            "defaultRequest": {"cpu": "1m", "memory": "1Mi"},
        },
    )
    bare = open_namespace(cluster)
    apply_manifests(cluster, [limit_range("sizes", bare, *items)])
    space = space_with(cluster, policy, *items)
    admitted = 0
    for number in range(60):
        one = random_pod(chance)
        del one["apiVersion"], one["kind"]
        if try_pod(cluster, bare, one, "--dry-run=server")[0] is None:
            continue
        admitted += 1
        made, said = try_pod(cluster, space, one, "--dry-run=server")
        assert made is not None, f"pod {number}: {json.dumps(one)}: {said}"
    assert admitted > 5
    for name in (bare, space):
        cluster.kubectl("delete", "namespace", name, "--wait=false")
