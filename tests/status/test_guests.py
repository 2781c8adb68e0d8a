"""Guests are counted by their VirtualMachineInstances, not by the requests of pods."""

import msgspec
import pytest

from overbook.core.kubernetes.pod import Pod
from overbook.status.guests import GuestMachines, MachineInstance, NodeGuests
from overbook.status.sums import PodSums

GI = 2**30


def instance(name: str, node: str = "a", size: str = "4Gi", **status: object) -> MachineInstance:
    """Return an instance that runs on a node, in a pod whose UID is made of its name."""
    running = {"phase": "Running", "nodeName": node, "activePods": {f"{name}-1": node}}
    written = {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"domain": {"memory": {"guest": size}}},
        "status": {**running, **status},
    }
    return msgspec.convert(written, MachineInstance)


def pod_of(vm: str, uid: str) -> Pod:
    owner = {"kind": "VirtualMachineInstance", "apiVersion": "kubevirt.io/v1", "name": vm, "uid": f"uid-{vm}"}
    return msgspec.convert(
        {"metadata": {"uid": uid, "ownerReferences": [{**owner, "controller": True}]}}, Pod
    )


def test_a_guests_size_is_what_kubevirt_says_of_it() -> None:
    assert instance("db").guest_bytes == 4 * GI
    plugged = instance("db", size="8Gi", memory={"guestCurrent": "4Gi"})
    assert plugged.guest_bytes == 4 * GI, "the spec runs ahead while memory is plugged in"


def test_a_size_that_cannot_be_read_is_none() -> None:
    assert instance("db", size="much").guest_bytes == 0


def test_a_vm_that_migrates_is_one_vm() -> None:
    moving = instance("db", activePods={"db-target": "b", "db-source": "a"})
    known = GuestMachines([moving])
    assert known.by_node == {"a": NodeGuests(1, 4 * GI)}
    for name, expected in (("db-source", (1, 4 * GI)), ("db-target", (0, 0))):
        found = known.in_pod(pod_of("db", name), PodSums(1, virtual_machines=1, guest_bytes=7))
        assert (found.virtual_machines, found.guest_bytes) == expected
    other = PodSums(1, virtual_machines=1, guest_bytes=7)
    assert known.in_pod(pod_of("not-read", "x"), other) == other


def test_a_marked_vm_is_found_on_the_node_it_leaves() -> None:
    marked = instance("db", evacuationNodeName="a")
    moved = instance("web", node="b", evacuationNodeName="a")
    assert [(each.namespace, each.name, each.node) for each in GuestMachines([marked, moved]).marked] == [
        ("default", "db", "a")
    ]


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_vm_that_has_ended_is_none(phase: str) -> None:
    assert GuestMachines([instance("db", phase=phase)]).by_node == {}


def test_pods_sums_keep_all_but_the_guests() -> None:
    by_pods = {
        "a": PodSums(pods=7, virtual_machines=2, guest_bytes=5 * GI),
        "b": PodSums(pods=3, virtual_machines=1, guest_bytes=GI),
    }
    found = GuestMachines([instance("db"), instance("web")]).on(by_pods)
    assert found["a"] == PodSums(pods=7, virtual_machines=2, guest_bytes=8 * GI)
    assert found["b"] == PodSums(pods=3), "the target of a live migration is no VM"
