"""Pods on the emulated node, in the cgroups that a kubelet with containerd and systemd would make.

Names and values follow the same rules; each container is a process of the sandbox.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from overbook.core.kubernetes.cgroup import ContainerValues, container_values, pod_values
from overbook.core.kubernetes.oom_score import oom_score_adj
from overbook.core.kubernetes.pod import Container, Pod
from overbook.core.kubernetes.resolved import resolve
from overbook.kernel.cgroup import Cgroup
from overbook.kernel.cpu_max import CpuMax

CONTROLLERS: Final = b"+cpu +memory +io +pids"
CGROUP_ROOT: Final = "/sys/fs/cgroup"


class RunningPod(msgspec.Struct):
    """A pod that was started.

    Attributes:
        pod: the pod's manifest, with the status that the API would show.
        process: the first process of its only container.
        cgroup: the container's cgroup.
    """

    pod: Pod
    process: "subprocess.Popen[bytes]"
    cgroup: Cgroup


def container_id(pod: Pod, container: Container) -> str:
    """A container id as runtimes make it: 64 hexadecimal digits."""
    return hashlib.sha256(f"{pod.metadata.uid}/{container.name}".encode()).hexdigest()


def pod_path(pod: Pod) -> str:
    """Where the kubelet's systemd driver puts a pod's cgroup."""
    quality = resolve(pod).qos_class.lower()
    parent = "" if quality == "guaranteed" else f"kubepods-{quality}.slice/"
    prefix = "kubepods" if quality == "guaranteed" else f"kubepods-{quality}"
    return f"kubepods.slice/{parent}{prefix}-pod{(pod.metadata.uid or '').replace('-', '_')}.slice"


def make_cgroup(path: str, root: str = CGROUP_ROOT) -> str:
    """Make a cgroup and its parents, with all controllers enabled for their children."""
    full = root
    for part in path.split("/"):
        with open(os.path.join(full, "cgroup.subtree_control"), "wb", buffering=0) as file:
            file.write(CONTROLLERS)
        full = os.path.join(full, part)
        os.makedirs(full, exist_ok=True)
    return full


class PodCgroups(msgspec.Struct):
    """The cgroups of a pod that has no process yet.

    Attributes:
        pod_path: the pod's cgroup, below the root of all cgroups.
        full_path: the absolute path of the cgroup of the pod's only container.
        cgroup: the same one, opened.
        oom_score_adj: the score that the container's processes get.
    """

    pod_path: str
    full_path: str
    cgroup: Cgroup
    oom_score_adj: int


def start(pod: Pod, argv: Sequence[str], node_memory_bytes: int) -> RunningPod:
    """Make the pod's cgroups with the kubelet's values and start its process in them."""
    made = make_pod_cgroups(pod, node_memory_bytes)
    process = start_in(made.full_path, argv, made.oom_score_adj)
    return RunningPod(pod, process, made.cgroup)


def make_pod_cgroups(pod: Pod, node_memory_bytes: int) -> PodCgroups:
    """Make the pod's cgroups with the kubelet's values.

    ``memory.swap.max`` stays at the kernel's default ``max``, as on a node where swap is only turned on.
    """
    path = pod_path(pod)
    scope = f"{path}/cri-containerd-{container_id(pod, pod.containers[0])}.scope"
    full = make_cgroup(scope)
    resolved = resolve(pod)
    container, values = resolved.containers[0], pod_values(resolved)
    with Cgroup(path) as cgroup:
        cgroup.write_cpu_weight(values.cpu_weight)
        if values.cpu_quota_micros is not None:
            cgroup.write_cpu_max(CpuMax(values.cpu_quota_micros))
        if values.memory_max_bytes is not None:
            cgroup.write_memory_max(values.memory_max_bytes)
    cgroup = Cgroup(scope)
    _write_container(cgroup, container_values(resolved, container))
    return PodCgroups(path, full, cgroup, oom_score_adj(resolved, container, node_memory_bytes))


def start_in(
    cgroup_path: str,
    argv: Sequence[str],
    score: int,
    *,
    output: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start a process that is in its cgroup from its first instruction.

    Args:
        cgroup_path: The cgroup's absolute path.
        argv: The program and its arguments.
        score: The process's `oom_score_adj`.
        output: The descriptor for its output; default: this process's standard error.
        environment: Variables in addition to this process's.
    """
    enter = 'echo $$ > "$1/cgroup.procs" && echo "$2" > /proc/self/oom_score_adj && shift 2 && exec "$@"'
    return subprocess.Popen(  # noqa: S603 - a fixed argv
        ["/bin/sh", "-c", enter, "sh", cgroup_path, str(score), *argv],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr if output is None else output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(environment or {})},
    )


def with_status(pod: Pod) -> Pod:
    """The pod with the status that the API shows when its container runs."""
    status = {
        "phase": "Running",
        "qosClass": resolve(pod).qos_class,
        "containerStatuses": [
            {"name": c.name, "containerID": f"containerd://{container_id(pod, c)}"} for c in pod.containers
        ],
    }
    return msgspec.convert({**msgspec.to_builtins(pod), "status": status}, Pod)


def _write_container(cgroup: Cgroup, values: ContainerValues) -> None:
    cgroup.write_cpu_weight(values.cpu_weight)
    if values.cpu_quota_micros:
        cgroup.write_cpu_max(CpuMax(values.cpu_quota_micros, values.cpu_period_micros))
    if values.memory_max_bytes:
        cgroup.write_memory_max(values.memory_max_bytes)
