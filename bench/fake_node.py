"""A node with many pods, made of files in memory, and its pods' manifests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import yaml

from overbook_sandbox.fakes.kernel_files import (
    container_files,
    container_path,
    make_cgroup,
    make_node,
    pressure_file,
)

CONTAINERS_PER_POD = 2
MEMORY_BYTES = 40 << 30
POD_MEMORY_BYTES = 512 << 20


class FakeNode(msgspec.Struct, frozen=True):
    """Where its files are."""

    root: str
    containers: int

    @property
    def manifests(self) -> str:
        return os.path.join(self.root, "manifests")

    def starve(self) -> None:
        """Fill memory and swap, and let the first pod hold more than it is covered for: a rule fires."""
        fill(self.root)
        with open(os.path.join(self._pod_directory(0, 0), "memory.current"), "w", encoding="utf-8") as file:
            file.write(f"{4 * POD_MEMORY_BYTES}\n")

    def stall(self, micros: int) -> None:
        """Let the node's stall grow, so that each pod's own has to be read."""
        path = os.path.join(self.root, "proc/pressure/memory")
        with open(path, "w", encoding="utf-8") as file:
            file.write(pressure_file(micros, micros // 2))

    def _pod_directory(self, number: int, place: int) -> str:
        uid = launcher_pod(number)["metadata"]["uid"]
        path = container_path(uid, _container_id(number, place))
        return os.path.join(self.root, "sys/fs/cgroup", path)

    def cgroup_directories(self) -> list[str]:
        """The containers' directories."""
        mount = os.path.join(self.root, "sys/fs/cgroup")
        return [where for where, _, names in os.walk(mount) if "memory.stat" in names]


def ease(root: str) -> None:
    """Write a node's own files: half of its memory and all of its swap are free."""
    _write(root, available=MEMORY_BYTES // 2, swap_free=MEMORY_BYTES // 2)


def fill(root: str) -> None:
    """Write a node's own files: memory and swap are full, so that a rule fires."""
    _write(root, available=MEMORY_BYTES // 100, swap_free=MEMORY_BYTES // 200)


def _write(root: str, *, available: int, swap_free: int) -> None:
    make_node(
        root,
        mem_total_bytes=MEMORY_BYTES,
        mem_available_bytes=available,
        swap_total_bytes=MEMORY_BYTES // 2,
        swap_free_bytes=swap_free,
    )


@contextmanager
def fake_node(containers: int, manifests: str = "json") -> Iterator[FakeNode]:
    """A node with that many containers.

    Args:
        containers: the number of containers, two for each pod.
        manifests: ``json`` or ``yaml``; there is one file for each pod.
    """
    root = tempfile.mkdtemp(prefix="overbook-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)  # noqa: S108 - memory, not a place for secrets
    try:
        node = FakeNode(root, containers)
        ease(root)
        os.makedirs(node.manifests)
        for number in range(containers // CONTAINERS_PER_POD):
            _make_pod(node, number, manifests)
        yield node
    finally:
        shutil.rmtree(root)


def launcher_pod(number: int) -> dict[str, Any]:
    """A virtual machine's pod as the API shows it, with the fields that one usually has."""
    uid = f"{number:08x}-1111-4222-8333-{number:012x}"
    names = ("compute", "guest-console-log")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"virt-launcher-vm-{number}-x7kqp",
            "namespace": f"shop-{number % 10}",
            "uid": uid,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": f"vm-{number}"},
            "annotations": {"kubevirt.io/memory-overhead": "296Mi", "kubevirt.io/domain": f"vm-{number}"},
            "ownerReferences": [
                {
                    "apiVersion": "kubevirt.io/v1",
                    "kind": "VirtualMachineInstance",
                    "name": f"vm-{number}",
                    "uid": f"{number:08x}-2222-4222-8333-{number:012x}",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "nodeName": "node-1",
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 210,
            "serviceAccountName": "default",
            "containers": [
                {
                    "name": names[0],
                    "image": "registry.example/virt-launcher:v1",
                    "command": ["/usr/bin/virt-launcher-monitor", "--name", f"vm-{number}"],
                    "resources": {"requests": {"cpu": "200m", "memory": "640Mi"}},
                    "volumeMounts": [{"name": "private", "mountPath": "/var/run/kubevirt-private"}],
                },
                {
                    "name": names[1],
                    "image": "registry.example/virt-launcher:v1",
                    "resources": {
                        "requests": {"cpu": "5m", "memory": "35M"},
                        "limits": {"cpu": "15m", "memory": "60M"},
                    },
                },
            ],
            "volumes": [{"name": "private", "emptyDir": {}}],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {"name": name, "containerID": f"containerd://{_container_id(number, place)}", "ready": True}
                for place, name in enumerate(names)
            ],
        },
    }


def _container_id(number: int, place: int) -> str:
    return f"{number * CONTAINERS_PER_POD + place:064x}"


def _make_pod(node: FakeNode, number: int, manifests: str) -> None:
    pod = launcher_pod(number)
    uid = pod["metadata"]["uid"]
    for place in range(CONTAINERS_PER_POD):
        held = (POD_MEMORY_BYTES if place == 0 else 20 << 20) + number * 4096
        files = container_files(
            memory_current=held,
            memory_stat={
                "anon": held // 8,
                "shmem": held // 2,
                "inactive_file": held // 16,
                "workingset_refault_anon": number,
            },
            memory_swap_max=0,
            full_micros=number * 1000,
        )
        path = container_path(uid, _container_id(number, place))
        make_cgroup(node.root, path, files)
        make_cgroup(node.root, os.path.dirname(path), {"memory.pressure": pressure_file(number)})
    text = yaml.safe_dump(pod) if manifests == "yaml" else msgspec.json.encode(pod).decode()
    with open(os.path.join(node.manifests, f"pod-{number}.{manifests}"), "w", encoding="utf-8") as file:
        file.write(text)
