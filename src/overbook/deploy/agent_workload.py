"""The agent on every node: a DaemonSet that mounts only the host folders it needs."""

from typing import Any, Final

from overbook.core.api.group import API_VERSION
from overbook.deploy.installation import AGENT, Installation, Manifest, metadata, selector
from overbook.deploy.pod_parts import from_field, ingress, probe, template, token_mount, token_volume
from overbook.deploy.yaml_text import yaml_text

PORT: Final = 9713
PROBE_PORT: Final = 9723
KUBELET_PORT: Final = 10250
HOST: Final = "/host"
CAPABILITIES: Final = (
    "IPC_LOCK",  # locks its own memory
    "KILL",  # ends a pod's processes, only with `lastResort: Kill`
    "SYS_RESOURCE",  # sets a PSI trigger of 100 ms, and lowers its own oom_score_adj
)
SELINUX: Final = {"type": "spc_t", "level": "s0"}
"""A container with these may write other pods' cgroups. OpenShift compares type and level."""
_THERE: Final = "Directory"
_MADE: Final = "DirectoryOrCreate"
_HOST_FOLDERS: Final = (
    # meminfo, vmstat, pressure, swaps, sys/vm, processes' cgroups and the kubelet's command line
    ("proc", "/proc", _THERE, True),
    # memory.swap.max, memory.reclaim, cgroup.kill
    ("cgroup", "/sys/fs/cgroup", _THERE, False),
    # The medium of swap: a disk's numbers, and the device itself.
    ("block", "/sys/dev/block", _THERE, True),
    ("devices", "/sys/devices", _THERE, True),
    # The runtime's socket. The socket may be made again, so its folder is mounted, also for a runtime that
    # gets NRI later. Connecting to a socket needs no write access.
    ("nri", "/run/nri", _MADE, True),
    # The files that the OCI hook reads.
    ("overbook", "/run/overbook", _MADE, False),
)


def agent_workload(where: Installation) -> list[Manifest]:
    """The agent's configuration, its DaemonSet, and its network policy."""
    return [
        _configuration(where),
        _daemon_set(where),
        ingress("agent", metadata(AGENT, "agent", where.node_namespace), []),
    ]


def _configuration(where: Installation) -> Manifest:
    head = yaml_text([{"apiVersion": API_VERSION, "kind": "AgentConfiguration"}])
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(AGENT, "agent", where.node_namespace),
        "data": {"agent.yaml": head + where.agent_configuration},
    }


def _daemon_set(where: Installation) -> Manifest:
    spec: dict[str, Any] = {
        "serviceAccountName": AGENT,
        "automountServiceAccountToken": False,
        # The kubelet does not swap or evict a critical pod, and the scheduler places it on a full node.
        "priorityClassName": "system-node-critical",
        "tolerations": where.agent_tolerations,
        "nodeSelector": {"kubernetes.io/os": "linux"},
        # The agent signals processes by their pid in the host's PID namespace.
        "hostPID": True,
        "terminationGracePeriodSeconds": 30,
        "containers": [_container(where)],
        "volumes": [
            *(
                {"name": name, "hostPath": {"path": path, "type": kind}}
                for name, path, kind, _ in _HOST_FOLDERS
            ),
            {"name": "configuration", "configMap": {"name": AGENT}},
            token_volume(),
        ],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata(AGENT, "agent", where.node_namespace),
        "spec": {
            "selector": {"matchLabels": selector("agent")},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
            "template": template("agent", spec),
        },
    }


def _container(where: Installation) -> Manifest:
    return {
        "name": "agent",
        "image": where.image_of("agent"),
        "args": [
            "agent",
            "--config=/etc/overbook/agent.yaml",
            f"--fsroot={HOST}",
            f"--listen=:{PORT}",
            f"--probe-listen=:{PROBE_PORT}",
            f"--kubelet=https://$(HOST_IP):{KUBELET_PORT}",
        ],
        "env": [
            from_field("NODE_NAME", "spec.nodeName"),
            from_field("HOST_IP", "status.hostIP"),
            from_field("POD_UID", "metadata.uid"),
            # Not the agent's: that of its Lease, and of controller and webhook, which are never evicted.
            {"name": "POD_NAMESPACE", "value": where.namespace},
        ],
        "ports": [
            {"name": "metrics", "containerPort": PORT},
            {"name": "probes", "containerPort": PROBE_PORT},
        ],
        "resources": where.agent_resources,
        "readinessProbe": probe("/readyz", "probes", period=10, failures=3),
        # Two minutes, because a thrashing node answers late, and a restart then would lose the agent's
        # samples.
        "livenessProbe": probe("/healthz", "probes", period=30, failures=4),
        "securityContext": {
            "runAsUser": 0,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": list(CAPABILITIES)},
            "seccompProfile": {"type": "RuntimeDefault"},
            # The runtimes' default profiles refuse access to other pods' cgroups.
            "appArmorProfile": {"type": "Unconfined"},
            "seLinuxOptions": SELINUX,
        },
        "volumeMounts": [
            *(
                {"name": name, "mountPath": f"{HOST}{path}", **({"readOnly": True} if read_only else {})}
                for name, path, _, read_only in _HOST_FOLDERS
            ),
            {"name": "configuration", "mountPath": "/etc/overbook", "readOnly": True},
            token_mount(),
        ],
    }
