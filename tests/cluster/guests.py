"""Tests create virtual machines of the KubeVirt stand-in."""

import json
from typing import Any

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.documents import INSTANCES, PODS
from tests.cluster.sync_client import create, get, get_list
from tests.waiting import wait_for


def machine(
    name: str, *, strategy: str | None = None, memory: str = "1Gi", **annotations: str
) -> dict[str, Any]:
    """Return a VirtualMachineInstance; annotations are those of `sandbox.overbook.dev`, with `_` for `-`."""
    prefixed = {f"sandbox.overbook.dev/{key.replace('_', '-')}": text for key, text in annotations.items()}
    spec: dict[str, Any] = {"domain": {"memory": {"guest": memory}}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, "annotations": prefixed},
        "spec": spec if strategy is None else {**spec, "evictionStrategy": strategy},
    }


def start(cluster: ControlPlane, manifest: dict[str, Any], namespace: str) -> tuple[Any, Any]:
    """Create a virtual machine, wait until it runs, and return it and its pod."""
    created = create(cluster, manifest, namespace)
    name = created["metadata"]["name"]

    def runs() -> Any:
        found = get(cluster, INSTANCES, name, namespace)
        return found if found.get("status", {}).get("phase") == "Running" else None

    found = wait_for(runs, f"machine {name} runs")
    return found, pods_of(cluster, found)[0]


def seen(cluster: ControlPlane, namespace: str) -> str:
    """Return VMs, migrations and pods of a namespace, KubeVirt's settings and nodes, for a failure's text."""
    kinds = "vmi,vmim,pods"
    found = json.loads(cluster.kubectl("get", kinds, f"--namespace={namespace}", "--output=json"))["items"]
    for other in (("get", "kubevirts", "--all-namespaces"), ("get", "nodes")):
        found += json.loads(cluster.kubectl(*other, "--output=json"))["items"]
    for each in found:
        each["metadata"].pop("managedFields", None)
        if each["kind"] in {"Pod", "Node"}:
            each["status"] = {key: each["status"].get(key) for key in ("phase", "startTime", "reason")}
    return json.dumps(found)


def pods_of(cluster: ControlPlane, instance: Any) -> list[Any]:
    """Return the launcher pods of a virtual machine, oldest first."""
    meta = instance["metadata"]
    selector = f"kubevirt.io/created-by={meta['uid']}"
    listed = get_list(cluster, PODS, meta["namespace"], selector)
    return sorted(listed, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
