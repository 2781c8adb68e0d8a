"""The manifests of a load's pods, as the API shows them."""

import uuid
from typing import Any, Final

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.overcommit.swap import SWAP_ANNOTATION, SWAP_LABEL
from overbook_sandbox.density.loads import Load, LoadPod

NAMESPACE: Final = "density"
SANDBOXES: Final = "sandboxes"
"""The namespace whose pods may swap although they are no VMs."""
CRITICAL_CLASS: Final = "system-node-critical"
CRITICAL_PRIORITY: Final = 2_000_001_000
_UIDS: Final = uuid.UUID("5b1c0a11-0000-4000-8000-000000000000")


def namespaces() -> list[dict[str, Any]]:
    """The manifests of the namespaces that have a label."""
    metadata = {"name": SANDBOXES, "labels": {SWAP_LABEL: "enabled"}}
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]


def pod_of(load: Load, pod: LoadPod) -> Pod:
    """The manifest of one pod of a load."""
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": SANDBOXES if pod.shape == "Sandbox" else NAMESPACE,
        "uid": str(uuid.uuid5(_UIDS, f"{load.name}/{pod.name}")),
    }
    memory = f"{int(pod.request_mib * 2**20)}"
    resources: dict[str, Any] = {"requests": {"cpu": "100m", "memory": memory}}
    if pod.limit_mib:
        resources["limits"] = {"memory": f"{int(pod.limit_mib * 2**20)}"}
    container = "app"
    if pod.shape == "Guaranteed":
        resources = {kind: {"cpu": "1", "memory": memory} for kind in ("requests", "limits")}
    if pod.shape in {"VM", "Guaranteed"}:
        container = "compute"
        metadata |= _virtual_machine(metadata, pod)
    if pod.shape == "NoSwap":
        metadata["annotations"] = {SWAP_ANNOTATION: "disabled"}
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 5,
        "priority": CRITICAL_PRIORITY if pod.critical else pod.priority,
        "containers": [{"name": container, "resources": resources}],
    }
    if pod.critical:
        spec["priorityClassName"] = CRITICAL_CLASS
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return convert(manifest, Pod, pod.name)


def _virtual_machine(metadata: dict[str, Any], pod: LoadPod) -> dict[str, Any]:
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": metadata["name"],
        "uid": str(uuid.uuid5(_UIDS, f"{metadata['uid']}/instance")),
        "controller": True,
    }
    return {
        "labels": {"kubevirt.io": "virt-launcher"},
        "annotations": {
            "kubevirt.io/domain": metadata["name"],
            "kubevirt.io/memory-overhead-bytes": str(int(pod.overhead_mib * 2**20)),
        },
        "ownerReferences": [owner],
    }
