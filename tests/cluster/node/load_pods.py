"""Pods run the load program on the node, and tests read their files there."""

from typing import Any

import msgspec

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from overbook_sandbox.node.load_image import container
from tests.cluster.as_user import UserClient
from tests.conformance.original import limited_swap
from tests.waiting import wait_for

PAGE = 4096
START_SECONDS = 300.0
"""Generous: an emulated node starts a pod in some seconds of an idle CPU."""


def manifest(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a pod in the node's own network, which costs less to start than a network of its own."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": list(containers),
            "enableServiceLinks": False,
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 1,
            **spec,
        },
    }


def resources(**amounts: str) -> dict[str, Any]:
    """Return a container's resources field, such as for `request_memory="64Mi", limit_cpu="1"`."""
    made: dict[str, dict[str, str]] = {}
    for key, value in amounts.items():
        kind, _, name = key.partition("_")
        made.setdefault(f"{kind}s", {})[name] = value
    return {"resources": made}


class LoadPods:
    """The pods of one namespace.

    Args:
        cluster: where.
        node: on which they run.
        namespace: of theirs.
    """

    def __init__(self, cluster: ControlPlane, node: KubernetesNode, namespace: str) -> None:
        self.node = node
        self._admin = UserClient(cluster.kubeconfig)
        self._path = f"/api/v1/namespaces/{namespace}/pods"

    def start(self, *manifests: dict[str, Any]) -> dict[str, Pod]:
        """Create pods, wait until all of them run, and return them as the API then has them."""
        for each in manifests:
            self._admin.ask("POST", self._path, each)
        return {name: self.wait_running(name) for name in (each["metadata"]["name"] for each in manifests)}

    def wait_running(self, name: str) -> Pod:
        """Wait until a pod runs."""
        return wait_for(lambda: self._running(name), f"pod {name} runs", START_SECONDS, 0.5)

    def get(self, name: str) -> dict[str, Any]:
        """Return a pod as the API has it."""
        found: dict[str, Any] = self._admin.ask("GET", f"{self._path}/{name}")
        return found

    def allowance(self, pod: Pod) -> str:
        """Return the allowance of a pod's only container, as core computes it and the kernel shows it."""
        sample = self.node.samples[-1]
        resolved = resolve(pod)
        decision = limited_swap(
            resolved, resolved.containers[0], sample.mem_total_bytes, sample.swap_total_bytes
        )
        assert decision.swap_max_bytes > 0
        return str(decision.swap_max_bytes // PAGE * PAGE)

    def cgroup(self, pod: Pod) -> str:
        """Return the cgroup of the container `main` of a Burstable pod."""
        return f"kubepods/burstable/pod{pod.metadata.uid}/{container_ids(pod)['main']}"

    def file(self, pod: Pod, name: str) -> str:
        """Read a file of the cgroup of the container `main`."""
        path = f"/sys/fs/cgroup/{self.cgroup(pod)}/{name}"
        return (self.node.read(path)[path] or "").strip()

    def restarts(self, pod: Pod) -> int:
        """Return how often a pod's containers were restarted."""
        statuses = self.get(pod.metadata.name or "")["status"]["containerStatuses"]
        return sum(each["restartCount"] for each in statuses)

    def _running(self, name: str) -> Pod | None:
        found = self.get(name)
        assert found["status"]["phase"] in {"Pending", "Running"}, found["status"]
        statuses = found["status"].get("containerStatuses", [])
        if not statuses or not all("running" in each["state"] for each in statuses):
            return None
        return convert(found, Pod, name)


def container_ids(pod: Pod) -> dict[str, str]:
    """Return the runtime's ids of a pod's containers, by name."""
    status = msgspec.to_builtins(pod)["status"]
    return {each["name"]: each["containerID"].rpartition("/")[2] for each in status["containerStatuses"]}


__all__ = ["LoadPods", "container", "container_ids", "manifest", "resources"]
