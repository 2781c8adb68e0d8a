"""A small cluster has all that `overbook status` shows: a node under pressure, and one without an agent."""

import json
import time
from typing import Any, Final

from overbook.core.timestamp import to_timestamp
from overbook.deploy.installation import Manifest
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.installing import install
from tests.waiting import wait_for

GI: Final = 1 << 30
LAUNCHER: Final = "virt-launcher-db-x7kqp"
OVERHEAD: Final = 256 << 20
BUDGET: Final = "The disruption budget db-budget needs 1 healthy pods and has 1 currently"


def build(plane: ControlPlane) -> None:
    """Install what is shipped, and write the rest as agents, controller and KubeVirt would."""
    install(plane)
    _apply(plane, _definition("kubevirts", "KubeVirt"), _definition("virtualmachineinstances", INSTANCE))
    wait_for(lambda: "virtualmachineinstances" in plane.kubectl("api-resources"), "KubeVirt's resources")
    for name in ("shop", "batch"):
        plane.kubectl("create", "namespace", name)
        plane.kubectl("create", "serviceaccount", "default", f"--namespace={name}")
    plane.kubectl("label", "namespace", "batch", "overbook.dev/swap=disabled")
    _nodes(plane)
    _pods(plane)
    _settings(plane)
    report(plane, "worker-1", _in_trouble(uid(plane)))


def uid(plane: ControlPlane) -> str:
    """Return the launcher pod's UID."""
    pod = plane.kubectl("get", "pod", LAUNCHER, "--namespace=shop", "--output=json")
    found: str = json.loads(pod)["metadata"]["uid"]
    return found


def report(plane: ControlPlane, node: str, status: dict[str, Any]) -> None:
    """Write what a node's agent and the controller report."""
    known = {"apiVersion": "overbook.dev/v1alpha1", "kind": "OvercommitNode", "metadata": {"name": node}}
    _apply(plane, known)
    plane.kubectl(
        *("patch", "overcommitnode", node, "--subresource=status", "--type=merge"),
        f"--patch={json.dumps({'status': status})}",
    )


def calm() -> dict[str, Any]:
    """Return the report of a calm node, which stays calm for a day."""
    return {
        "observedAt": to_timestamp(time.time() + 86_400),
        "agentVersion": "1.0.0",
        "agentInstance": "a",
        "mode": "Enforce",
        "memory": {"totalBytes": 16 * GI, "availableBytes": 2 * GI},
        "swap": {
            "totalBytes": 8 * GI,
            "usedBytes": 3 * GI,
            "allowedBytes": 4 * GI,
            "inPagesPerSecond": 1200.0,
            "outPagesPerSecond": 12_345.0,
        },
        "pressure": {"state": "None", "stallFullPercent": 0.1},
    }


CLUSTER: Final = {"name": "cluster"}
INSTANCE: Final = "VirtualMachineInstance"


def _in_trouble(launcher: str) -> dict[str, Any]:
    candidate = {
        "uid": launcher,
        "namespace": "shop",
        "name": LAUNCHER,
        "virtualMachine": True,
        "usageBytes": 5 * GI,
        "sentence": "2048 MiB over its request",
    }
    moment = "2026-09-01T10:00:00.000000Z"
    refusal = {
        "uid": launcher,
        "label": f"shop/{LAUNCHER}",
        "reason": "DisruptionBudget",
        "message": BUDGET,
        "at": moment,
    }
    stall = {"state": "Critical", "since": moment, "rule": "stall", "sentence": "all wait 12 % of the time"}
    return {
        **calm(),
        "pressure": {**stall, "stallFullPercent": 12.0},
        "request": {"id": "r1", "decidedAt": moment, "candidates": [candidate]},
        "relief": {"requestId": "r1", "stage": "Refused", "message": "all refused", "refusals": [refusal]},
    }


def _nodes(plane: ControlPlane) -> None:
    size = {"cpu": "8", "memory": "16Gi", "pods": "250"}
    ready = {"type": "Ready", "status": "True", "reason": "Test", "message": "a test says so"}
    taint = {"key": "overbook.dev/memory-pressure", "effect": "NoSchedule"}
    for name, taints in (("worker-1", [taint]), ("worker-2", [])):
        status = {
            "capacity": size,
            "allocatable": {**size, "memory": "15Gi"},
            "conditions": [ready],
            "nodeInfo": {"swap": {"capacity": 0}},
        }
        labels = {"pool": "virtual" if name == "worker-1" else "plain"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        _apply(plane, {**node, "spec": {"taints": taints}})
        patch = json.dumps({"status": status})
        plane.kubectl("patch", "node", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def _pods(plane: ControlPlane) -> None:
    owner = {"apiVersion": "kubevirt.io/v1", "kind": INSTANCE, "name": "db", "uid": "u", "controller": True}
    guest = {"requests": {"cpu": "200m", "memory": str(2 * GI + OVERHEAD)}}
    limited = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}
    annotations = {"kubevirt.io/memory-overhead-bytes": str(OVERHEAD)}
    _apply(
        plane,
        _pod("shop", LAUNCHER, "worker-1", "compute", guest, [owner], annotations),
        _pod("shop", "web", "worker-1", "web", limited),
        _pod("shop", "web-2", "worker-2", "web", limited),
        _pod("batch", "report", "worker-2", "report", {}),
    )


def _settings(plane: ControlPlane) -> None:
    overcommit = {
        "apiVersion": "overbook.dev/v1alpha1",
        "kind": "Overcommit",
        "metadata": {"name": "cluster"},
    }
    configuration = {"developerConfiguration": {"memoryOvercommit": 150}}
    kubevirt = {"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "spec": {"configuration": configuration}}
    labels = {"kubevirt.io/nodeName": "worker-1"}
    running = {"phase": "Running", "nodeName": "worker-1", "activePods": {uid(plane): "worker-1"}}
    instance = {
        "apiVersion": "kubevirt.io/v1",
        "kind": INSTANCE,
        "spec": {"domain": {"memory": {"guest": "3Gi"}}},
        "status": running,
    }
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "overbook-controller", "namespace": "overbook"},
        "spec": {
            "holderIdentity": "controller-a",
            "leaseDurationSeconds": 15,
            "renewTime": to_timestamp(time.time() + 86_400),
        },
    }
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "refused", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": LAUNCHER},
        "reason": "ReliefRefused",
        "message": BUDGET,
        "source": {"component": "overbook-controller"},
        "lastTimestamp": "2026-09-01T10:00:00Z",
    }
    _apply(
        plane,
        {**overcommit, "spec": {"percentage": 150, "mode": "Enforce"}},
        {**kubevirt, "metadata": {"name": "kubevirt", "namespace": "shop"}},
        {**instance, "metadata": {"name": "db", "namespace": "shop", "labels": labels}},
        lease,
        event,
    )


def _pod(
    namespace: str,
    name: str,
    node: str,
    container: str,
    resources: dict[str, Any],
    owners: list[dict[str, Any]] | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "annotations": annotations or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "ownerReferences": owners or []},
        "spec": {
            "nodeName": node,
            "containers": [{"name": container, "image": "none", "resources": resources}],
            "tolerations": [{"operator": "Exists"}],
        },
    }


def _definition(plural: str, kind: str) -> Manifest:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kubevirt.io"},
        "spec": {
            "group": "kubevirt.io",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version],
        },
    }


def _apply(plane: ControlPlane, *objects: Manifest) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    apply = ("apply", "--server-side", "--force-conflicts", "--field-manager=test", "-f", "-")
    plane.kubectl(*apply, stdin=json.dumps(listed))
