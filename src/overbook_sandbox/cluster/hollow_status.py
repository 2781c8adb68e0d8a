"""The statuses that hollow nodes write: those that a kubelet would write of a node and of a pod."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.kube.api.kinds import Kind
from overbook.kube.api.objects import Node, NodeCondition

HOLLOW_RUNTIME: Final = "hollow://"
"""What the container IDs and the runtime version of hollow nodes begin with."""
_ADDRESS: Final = "127.0.0.1"


class HollowNode(msgspec.Struct, frozen=True):
    """A hollow node's description of itself.

    Attributes:
        name: The node's name.
        cpu: The CPU capacity.
        memory: The memory capacity.
        allocatable_memory: The memory for pods; None: all.
        pods: The most pods.
        swap_bytes: The reported swap; None: not reported, as by an old kubelet.
        labels: Labels in addition to those of every node.
    """

    name: str
    cpu: str = "8"
    memory: str = "32Gi"
    allocatable_memory: str | None = None
    pods: int = 250
    swap_bytes: int | None = None
    labels: Mapping[str, str] = {}


class _Container(KubeStruct, frozen=True):
    name: str = ""
    image: str = ""


class _Gate(KubeStruct, frozen=True):
    condition_type: str = ""


class _PodSpec(KubeStruct, frozen=True):
    node_name: str = ""
    containers: tuple[_Container, ...] = ()
    readiness_gates: tuple[_Gate, ...] = ()


class _PodStatus(KubeStruct, frozen=True):
    phase: str = "Pending"
    conditions: tuple[NodeCondition, ...] = ()


class HollowPod(KubeStruct, frozen=True):
    """The fields of a pod from which its status is computed."""

    metadata: ObjectMeta = ObjectMeta()
    spec: _PodSpec = _PodSpec()
    status: _PodStatus = _PodStatus()


PODS: Final = Kind("", "v1", "pods", "Pod", True, HollowPod)


def manifest(node: HollowNode) -> dict[str, Any]:
    """The Node object for the registration."""
    labels = {"kubernetes.io/hostname": node.name, "kubernetes.io/os": "linux", **node.labels}
    return {"metadata": {"name": node.name, "labels": labels}, "status": node_status(node)}


def node_status(node: HollowNode) -> dict[str, Any]:
    """The status of a healthy node."""
    capacity = {"cpu": node.cpu, "memory": node.memory, "pods": str(node.pods)}
    versions: dict[str, Any] = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "kubeProxyVersion"), ""
    )
    versions |= {"containerRuntimeVersion": f"{HOLLOW_RUNTIME}1", "kubeletVersion": "hollow"}
    versions |= {"operatingSystem": "linux", "architecture": "amd64"}
    if node.swap_bytes is not None:
        versions["swap"] = {"capacity": node.swap_bytes}
    problems = ("MemoryPressure", "DiskPressure", "PIDPressure")
    return {
        "capacity": capacity,
        "allocatable": {**capacity, "memory": node.allocatable_memory or node.memory},
        "addresses": [
            {"type": "Hostname", "address": node.name},
            {"type": "InternalIP", "address": _ADDRESS},
        ],
        "conditions": [
            *({**_condition(name, holds=False), "lastHeartbeatTime": now()} for name in problems),
            {**_condition("Ready", holds=True), "lastHeartbeatTime": now()},
        ],
        "nodeInfo": versions,
    }


def pod_status(pod: HollowPod, number: int) -> dict[str, Any] | None:
    """The status to report of a pod; None if it is already reported.

    Args:
        pod: The pod.
        number: A number that makes the pod's address unique.
    """
    holding = {each.type for each in pod.status.conditions if each.status == "True"}
    is_open = all(gate.condition_type in holding for gate in pod.spec.readiness_gates)
    match pod.status.phase:
        case "Pending":
            return _running(pod, number, is_open=is_open)
        case "Running" if is_open != ("Ready" in holding):
            return {"conditions": [_condition("Ready", holds=is_open)]}
    return None


def _running(pod: HollowPod, number: int, *, is_open: bool) -> dict[str, Any]:
    address = f"10.{64 + number // 65_025 % 64}.{number // 255 % 255}.{number % 255 + 1}"
    started = now()
    held = ("PodReadyToStartContainers", "Initialized", "ContainersReady")
    return {
        "phase": "Running",
        "hostIP": _ADDRESS,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": started,
        "conditions": [
            *(_condition(name, holds=True) for name in held),
            _condition("Ready", holds=is_open),
        ],
        "containerStatuses": [
            {
                "name": container.name,
                "image": container.image,
                "imageID": "",
                "containerID": f"{HOLLOW_RUNTIME}{pod.metadata.uid}/{container.name}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": started}},
            }
            for container in pod.spec.containers
        ],
    }


def _condition(name: str, *, holds: bool) -> dict[str, str]:
    return {
        "type": name,
        "status": str(holds),
        "reason": "HollowNode",
        "message": "reported by a hollow node",
        "lastTransitionTime": now(),
    }


def is_ready(node: Node) -> bool:
    """Whether a node is Ready."""
    return any(each.type == "Ready" and each.status == "True" for each in node.status.conditions or ())


def now() -> str:
    """The present time in the API's format, with microseconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
