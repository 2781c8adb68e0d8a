from typing import Any

import msgspec
import pytest

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import amounts
from overbook.core.kubevirt.memory import inferred_guest_bytes
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook_sandbox.demo.cluster_load import HOT_AND_COLD_MIB, announced, late_pod, manifest
from overbook_sandbox.demo.cluster_stage import MEMORY_BYTES, PERCENT
from overbook_sandbox.kubevirt.documents import INSTANCES, KubeVirtDocument
from overbook_sandbox.kubevirt.launcher import launcher_pod


def made(name: str) -> Pod:
    """Return the pod that results from what the demo creates."""
    created: dict[str, Any] = manifest(name)
    if created["kind"] == INSTANCES.kind:
        instance = msgspec.convert({**created, "status": {}}, KubeVirtDocument)
        created = launcher_pod(instance, PERCENT)
    return convert(created, Pod, name)


def request_bytes(pod: Pod) -> int:
    resources = pod.containers[0].resources
    return amounts((resources.requests if resources else None) or {}).memory_bytes or 0


@pytest.mark.parametrize("told", announced(PERCENT), ids=lambda pod: pod.name)
def test_the_announced_pods_are_the_created_ones(told: Any) -> None:
    pod = made(told.name)
    assert resolve(pod).qos_class == told.qos_class
    assert is_virtual_machine_pod(pod) == told.virtual_machine
    assert request_bytes(pod) == told.request_bytes


def test_guests_are_promised_more_than_there_is_and_requests_fit() -> None:
    pods = [made(name) for name in HOT_AND_COLD_MIB]
    late = convert(late_pod("worker-1"), Pod, "late")
    assert sum(map(request_bytes, [*pods, late])) < 0.9 * MEMORY_BYTES
    touched = sum(sum(sizes) for sizes in HOT_AND_COLD_MIB.values()) * 2**20
    assert touched > 0.8 * MEMORY_BYTES  # the kernel, kubelet and containerd take the rest


def test_a_guests_size_is_computed_from_its_pod() -> None:
    assert inferred_guest_bytes(resolve(made("vm-a")), PERCENT) == 420 * 2**20
