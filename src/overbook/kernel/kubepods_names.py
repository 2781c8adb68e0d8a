"""The names that the kubelet and the container runtimes give to cgroup directories.

With the systemd driver every name contains the whole path, and dashes in a uid become underscores:

    kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<id>.scope

With the cgroupfs driver a name does not repeat its parents' names:

    kubepods/burstable/pod<uid>/<id>

Guaranteed pods are directly below kubepods. If the kubelet has a cgroup root of its own (`cgroupRoot`; kind
uses `/kubelet`), it comes before kubepods, in systemd's names as a prefix: `kubelet-kubepods.slice`. The uid
of a static pod is a hash without dashes. Source: kubelet cgroup_manager_linux.go; containerd and CRI-O
`getCgroupsPath`.
"""

import re
from typing import Literal

import msgspec

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

_QOS: dict[str, QosClass] = {"burstable": "Burstable", "besteffort": "BestEffort"}
_KUBEPODS = re.compile(r"(?:[^/]+-)?kubepods\.slice|kubepods")
_QOS_DIRECTORY = re.compile(r"(?:(?:[^/]+-)?kubepods-)?(burstable|besteffort)(?:\.slice)?")
_SYSTEMD_POD = re.compile(r"(?:[^/]+-)?kubepods(?:-(burstable|besteffort))?-pod([0-9A-Za-z_]{1,63})\.slice")
_CGROUPFS_POD = re.compile(r"pod([0-9A-Za-z-]{1,63})")
_CONTAINER = re.compile(r"(?:([a-z][0-9a-z-]*)-)?([0-9a-f]{32,64})(\.scope)?")


class PodName(msgspec.Struct, frozen=True, gc=False):
    """The parts of a pod directory's name.

    Attributes:
        uid: The pod's uid with its dashes; for a static pod the hash of its manifest.
        qos_class: None with the cgroupfs driver, where only the parent directory contains the class.
    """

    uid: str
    qos_class: QosClass | None


class ContainerName(msgspec.Struct, frozen=True, gc=False):
    """The parts of a container directory's name.

    Attributes:
        runtime: "cri-containerd", "crio", "docker"; None if the name is the bare id.
        id: The container's id, 64 hexadecimal digits with all known runtimes.
    """

    runtime: str | None
    id: str


def is_kubepods_directory(name: str) -> bool:
    """Whether a directory's name is that of the directory of all pods, under either driver."""
    return _KUBEPODS.fullmatch(name) is not None


def parse_qos_directory(name: str) -> QosClass | None:
    """The QoS class of the pods in a directory below kubepods; None for any other directory."""
    match = _QOS_DIRECTORY.fullmatch(name)
    return _QOS[match[1]] if match else None


def parse_pod_directory(name: str) -> PodName | None:
    """The parts of a pod directory's name; None for any other name."""
    match = _SYSTEMD_POD.fullmatch(name)
    if match is not None:
        return PodName(match[2].replace("_", "-"), _QOS[match[1]] if match[1] else "Guaranteed")
    match = _CGROUPFS_POD.fullmatch(name)
    return PodName(match[1], None) if match else None


def parse_container_directory(name: str) -> ContainerName | None:
    """The parts of a container directory's name; None for any other name.

    conmon, the process with which CRI-O watches a container, has a scope of its own and is no container.
    """
    match = _CONTAINER.fullmatch(name)
    if match is None:
        return None
    runtime: str | None = match[1]
    if runtime is not None and runtime.endswith("conmon"):
        return None
    if runtime is None and match[3]:  # a scope always names its runtime
        return None
    return ContainerName(runtime, match[2])
