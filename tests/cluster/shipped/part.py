"""A part of Overbook runs in its pod, from the manifest and the image that are shipped.

Nothing of the pod is changed for this: the image is there already under its name, and the node leads pods to
the API server as kube-proxy would.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.node import api_service
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from tests.cluster.as_user import MERGE, UserClient
from tests.cluster.installing import apply_manifests, install
from tests.docs.reading import ROOT
from tests.images import write_image
from tests.sandbox_parts import made
from tests.waiting import wait_for

FINALIZER: Final = "tests.overbook.dev/looks"
SLOW_SECONDS: Final = 300.0
USER: Final = "65532"
_WORKLOADS: Final = ("DaemonSet", "Deployment")


class Shipped:
    """A part's pod runs on the node; the cluster has the part's rights.

    Args:
        cluster: where.
        node: on which.
        component: which part.
        path: of its manifest, where that is not in the base.
    """

    def __init__(self, cluster: ControlPlane, node: KubernetesNode, component: str, path: str = "") -> None:
        self.cluster = cluster
        self.node = node
        self.component = component
        self.admin = UserClient(cluster.kubeconfig)
        text = (ROOT / (path or f"deploy/base/{component}.yaml")).read_text(encoding="utf-8")
        self._objects = list(yaml.safe_load_all(text))
        self._workload = next(each for each in self._objects if each["kind"] in _WORKLOADS)
        self._namespace = self._workload["metadata"]["namespace"]
        self._pods = f"/api/v1/namespaces/{self._namespace}/pods"

    @contextmanager
    def running(self, folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Install the part, wait until its pod is ready, and remove it afterwards.

        Args:
            folder: for its image, an empty one.
            settings: added to the configuration file in its ConfigMap.
        """
        image = self._workload["spec"]["template"]["spec"]["containers"][0]["image"]
        archive = made(lambda: write_image(self.component, image, folder))
        self.node.ctr("images", "import", "--local", archive)
        install(self.cluster, self.component)
        api_service.start(self.cluster, self.node)
        for each in self._objects:
            if settings and each["kind"] == "ConfigMap":
                each["data"][f"{self.component}.yaml"] += yaml.safe_dump(dict(settings))
        apply_manifests(self.cluster, self._objects)
        try:
            wait_for(self.ready, f"the {self.component}'s pod is ready", SLOW_SECONDS, 0.5)
            yield
        finally:
            print(self.said())  # shown where a test fails
            self.let_go()
            self.delete()
            wait_for(lambda: not self.pod(), "its pod is gone", SLOW_SECONDS, 0.5)
            api_service.stop(self.node)

    def delete(self) -> None:
        """Delete the part's DaemonSet or Deployment; its pods end by that."""
        kind, name = self._workload["kind"], self._workload["metadata"]["name"]
        self.cluster.kubectl("delete", kind, name, f"--namespace={self._namespace}", "--ignore-not-found")

    def pod(self) -> dict[str, Any]:
        """Return the part's pod on the node, as the API has it; empty if there is none."""
        label = f"app.kubernetes.io/component={self.component}"
        query = {"labelSelector": label, "fieldSelector": f"spec.nodeName={self.node.spec.name}"}
        found: list[dict[str, Any]] = self.admin.ask("GET", self._pods, **query)["items"]
        return found[0] if found else {}

    def container(self) -> dict[str, Any]:
        """Return the status of the part's container."""
        found: list[dict[str, Any]] = self.pod().get("status", {}).get("containerStatuses", [])
        return found[0] if found else {}

    def ready(self) -> bool:
        """Return whether the readiness probe succeeds in a container that was never restarted."""
        found = self.container()
        assert not found.get("restartCount"), found
        return bool(found.get("ready"))

    def said(self) -> str:
        """Return the part's log, as the node keeps it."""
        logs = f"/var/log/pods/{self._namespace}_overbook-{self.component}-*/{self.component}/*.log"
        return self.node.run("/bin/sh", "-c", f"cat {logs}").output

    def cgroup(self, name: str) -> str:
        """Read a file of the container's cgroup."""
        pod, container = self.pod(), self.container()["containerID"].rpartition("/")[2]
        path = f"/sys/fs/cgroup/kubepods/burstable/pod{pod['metadata']['uid']}/{container}/{name}"
        return (self.node.read(path)[path] or "").strip()

    def process(self, field: str) -> str:
        """Return a line of the process's status."""
        path = f"/proc/{self.cgroup('cgroup.procs').split()[0]}/status"
        lines = (self.node.read(path)[path] or "").splitlines()
        return dict(line.split(":\t", 1) for line in lines)[field]

    def assert_unprivileged(self) -> None:
        """Assert that the part has no rights on its node, and a token that only its pod can reach."""
        assert set(self.process("Uid").split()) == {USER}
        assert int(self.process("CapEff"), 16) == 0
        assert self.process("NoNewPrivs") == "1"
        volumes = f"/var/lib/kubelet/pods/{self.pod()['metadata']['uid']}/volumes"
        modes = ("-name", "token", "-type", "f", "-printf", "%m %U")
        # The pod names no user, so the kubelet lets every user of the pod read the token; there is one. On
        # the node only root gets there.
        assert self.node.run("/usr/bin/find", volumes, *modes).output.split() == ["444", "0"]
        above = self.node.run("/usr/bin/find", "/var/lib/kubelet/pods", "-maxdepth", "0", "-printf", "%m %U")
        assert above.output.split() == ["750", "0"]

    def assert_ends_in_time(self) -> None:
        """Assert that the program ends well and in time when its workload is deleted."""
        self._finalizers([FINALIZER])  # its object stays until its end was looked at
        self.delete()
        ended = wait_for(lambda: self.container()["state"].get("terminated"), "it ends", SLOW_SECONDS, 0.5)
        assert (ended["exitCode"], ended["reason"]) == (0, "Completed")
        over = self.pod()["metadata"]["deletionTimestamp"]  # when its grace period is
        assert datetime.fromisoformat(ended["finishedAt"]) < datetime.fromisoformat(over)
        self.let_go()
        wait_for(lambda: not self.pod(), "its pod is gone", SLOW_SECONDS, 0.5)

    def let_go(self) -> None:
        """Remove the finalizer of the pod's object, if there is one."""
        if self.pod():
            self._finalizers(None)

    def _finalizers(self, wanted: list[str] | None) -> None:
        path = f"{self._pods}/{self.pod()['metadata']['name']}"
        self.admin.ask("PATCH", path, {"metadata": {"finalizers": wanted}}, MERGE)
