"""The agent on a Kubernetes node in the emulator, with the rights of an installation.

It runs as a program of the node, from this source tree. Its credentials are as in a DaemonSet's pod: a token
of the agent's account that is bound to a pod on that node.
"""

import os
import sys
from collections.abc import Mapping
from signal import Signals
from typing import Any, Final

import msgspec

from overbook.core.api.group import NAMESPACE, node_namespace
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.machine.cache import write_whole
from overbook_sandbox.node.kubernetes_node import KubernetesNode
from overbook_sandbox.node.load_image import container

SERVICE: Final = "overbook-agent"
ACCOUNT: Final = "overbook-agent"

_OOM_SCORE_ADJ: Final = -900
_KUBELET: Final = "https://127.0.0.1:10250"


class KubernetesAgent:
    """The agent, as ``overbook agent --kube`` in `system.slice/overbook-agent.service`.

    Args:
        cluster: The control plane, with Overbook's custom resources, namespace, accounts and rights.
        node: The node on which the agent runs.
        namespace: The agents' namespace.

    Attributes:
        log: The path of the agent's log.
        recording: The path of the agent's recording, for `overbook replay`.
    """

    def __init__(
        self, cluster: ControlPlane, node: KubernetesNode, namespace: str = node_namespace(NAMESPACE)
    ) -> None:
        self.log = os.path.join(node.folder, f"{SERVICE}.log")
        self.recording = os.path.join(node.folder, "recording.jsonl")
        self._cluster = cluster
        self._node = node
        self._namespace = namespace
        self._pod = f"{ACCOUNT}-{node.spec.name}"
        self.token_file = os.path.join(node.folder, "agent.token")
        self._kubeconfig = node.write_kubeconfig("agent.kubeconfig", {"tokenFile": self.token_file})

    def register(self) -> None:
        """Make the pod to which the agent's token is bound, and get the token."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self._pod, "labels": {"app.kubernetes.io/part-of": "overbook"}},
            "spec": {
                "automountServiceAccountToken": False,
                "containers": [container("agent")],
                "hostNetwork": True,
                "nodeName": self._node.spec.name,
                "serviceAccountName": ACCOUNT,
                "terminationGracePeriodSeconds": 0,
                "tolerations": [{"operator": "Exists"}],
            },
        }
        apply = ("apply", f"--namespace={self._namespace}", "-f", "-")
        self._cluster.kubectl(*apply, stdin=msgspec.json.encode(pod))
        token = self._cluster.token(self._namespace, ACCOUNT, bound_pod=self._pod)
        write_whole(self.token_file, token.encode())

    def start(self, settings: Mapping[str, Any] | None = None) -> None:
        """Start the agent, without waiting for it.

        Args:
            settings: The fields of the agent's configuration file.
        """
        configuration = os.path.join(self._node.folder, "agent.json")  # JSON is YAML
        write_whole(configuration, msgspec.json.encode(settings or {}))
        argv = [sys.executable, "-m", "overbook", "agent", "--kube", "--kubeconfig", self._kubeconfig]
        argv += ["--config", configuration, "--node-name", self._node.spec.name, "--kubelet", _KUBELET]
        argv += ["--record", self.recording]
        self._node.start_service(SERVICE, argv, oom_score_adj=_OOM_SCORE_ADJ)

    def stop(self, number: Signals = Signals.SIGTERM) -> int:
        """End the agent. Returns its exit status, negative for a signal's number."""
        return self._node.stop_service(SERVICE, number)

    def said(self) -> str:
        """The agent's log so far."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()
