from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubevirt.definitions import decode_virtual_machine
from overbook.core.kubevirt.obstacles import overcommit_findings
from overbook.core.kubevirt.overhead import release
from overbook.core.kubevirt.vm import is_virtual_machine_pod, owning_instance
from tests.core.pod_manifests import pod_of, vm_of

OWNER = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachineInstance",
    "name": "db",
    "uid": "7",
    "controller": True,
}


def words(vm: Any, version: str = "main") -> list[str]:
    return [finding.word for finding in overcommit_findings(vm, running=release(version))]


def test_a_vms_pod_is_known_by_the_controller_that_owns_it() -> None:
    pod = pod_of({}, owners=[OWNER])
    assert is_virtual_machine_pod(pod)
    owner = owning_instance(pod)
    assert owner is not None
    assert (owner.name, owner.uid) == ("db", "7")


@pytest.mark.parametrize(
    "wrong",
    [
        {"controller": False},
        {"controller": None},
        {"kind": "VirtualMachine"},
        {"apiVersion": "kubevirt.io.example.com/v1"},
        {"apiVersion": "v1"},
        {"apiVersion": "apps.kubevirt.io/v1"},
    ],
)
def test_no_other_owner_makes_a_pod_a_vms(wrong: dict[str, Any]) -> None:
    assert not is_virtual_machine_pod(pod_of({}, owners=[{**OWNER, **wrong}]))


def test_a_label_does_not_make_a_pod_a_vms() -> None:
    assert not is_virtual_machine_pod(pod_of({}, labels={"kubevirt.io": "virt-launcher"}))


def test_a_virtual_machine_is_read_as_the_instance_it_starts() -> None:
    template = {"spec": {"domain": {"memory": {"guest": "2Gi"}}}}
    vm = decode_virtual_machine(
        {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "spec": {"template": template}}
    )
    assert vm.guest_bytes == 2 << 30


@pytest.mark.parametrize(
    "manifest",
    [
        None,
        [],
        {"kind": "Pod", "apiVersion": "v1"},
        {"kind": "VirtualMachine", "apiVersion": "example.com/v1"},
        {"kind": "VirtualMachineInstance", "apiVersion": "kubevirt.io/v1", "spec": {"domain": []}},
        {
            "kind": "VirtualMachineInstance",
            "apiVersion": "kubevirt.io/v1",
            "spec": {"domain": {"cpu": {"cores": -1}}},
        },
    ],
)
def test_a_manifest_of_no_virtual_machine_is_refused(manifest: object) -> None:
    with pytest.raises(InvalidInput):
        decode_virtual_machine(manifest)


def test_a_plain_vm_may_be_overcommitted() -> None:
    assert words(vm_of()) == []


def test_a_size_set_by_hand_is_found_with_its_fix() -> None:
    (finding,) = overcommit_findings(vm_of(resources={"requests": {"memory": "4Gi"}}))
    assert (finding.word, finding.severity) == ("RequestByHand", "DoesNotApply")
    assert "memory.guest" in finding.sentence
    assert words(vm_of(resources={"limits": {"memory": "4Gi"}})) == ["LimitByHand"]
    assert words(vm_of(None)) == ["NoGuestMemory"]


@pytest.mark.parametrize(
    ("domain", "word"),
    [
        ({"devices": {"gpus": [{}]}}, "DeviceAccess"),
        ({"devices": {"hostDevices": [{}]}}, "DeviceAccess"),
        ({"devices": {"interfaces": [{"name": "n", "sriov": {}}]}}, "DeviceAccess"),
        ({"launchSecurity": {"sev": {}}}, "LaunchSecurity"),
        ({"launchSecurity": {"tdx": {}}}, "LaunchSecurity"),
        ({"cpu": {"cores": 1, "realtime": {}}}, "Realtime"),
        ({"cpu": {"cores": 1, "dedicatedCpuPlacement": True}}, "DedicatedCpu"),
        ({"memory": {"reservedOverhead": {"memLock": "Required"}}}, "LockedMemory"),
    ],
)
def test_locked_memory_is_flagged_unless_requested_in_full(domain: dict[str, Any], word: str) -> None:
    findings = overcommit_findings(vm_of("4Gi", **domain))
    assert [(finding.word, finding.severity) for finding in findings] == [(word, "MustNotApply")]
    assert words(vm_of("4Gi", **domain, resources={"requests": {"memory": "4Gi"}})) == ["RequestByHand"]
    assert words(vm_of("4Gi", **domain, resources={"requests": {"memory": "2Gi"}})) == ["RequestByHand", word]


def test_large_pages_are_divided_by_old_releases_only() -> None:
    vm = vm_of("4Gi", memory={"hugepages": {"pageSize": "2Mi"}})
    assert words(vm) == ["Hugepages"]
    assert words(vm, "v1.9") == ["DividedHugepages"]
