from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubevirt.defaults import hotplug_obstacle, with_vm_defaults
from overbook.core.kubevirt.definitions import decode_virtual_machine
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.vm import Cpu, VirtualMachineInstance
from tests.core.pod_manifests import GI, MI, vm_of

PLAIN = LauncherPolicy()


def bare(**domain: Any) -> VirtualMachineInstance:
    manifest = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "spec": {"domain": domain}}
    return decode_virtual_machine(manifest)


def defaulted(policy: LauncherPolicy = PLAIN, **domain: Any) -> VirtualMachineInstance:
    return with_vm_defaults(bare(**domain), policy)


def topology(vmi: VirtualMachineInstance) -> tuple[int | None, int | None, int | None]:
    cpu = vmi.spec.domain.cpu or Cpu()
    return cpu.sockets, cpu.cores, cpu.threads


@pytest.mark.parametrize(
    ("resources", "request_milli"),
    [
        ({"limits": {"cpu": "4"}}, 4000),
        ({"limits": {"cpu": "4"}, "requests": {"cpu": "0"}}, 4000),
        ({"limits": {"cpu": "4"}, "requests": {"cpu": "1"}}, 1000),
        ({"limits": {"cpu": "0"}}, None),
        ({}, None),
    ],
)
def test_a_cpu_limit_becomes_the_request(resources: dict[str, Any], request_milli: int | None) -> None:
    requests, _ = defaulted(resources=resources).requests_and_limits()
    assert requests.cpu_milli == request_milli


def test_a_cluster_wide_cpu_request_is_for_vms_without_one() -> None:
    policy = LauncherPolicy(cpu_request=parse("250m"))
    assert defaulted(policy).requests_and_limits()[0].cpu_milli == 250
    assert defaulted(policy, resources={"requests": {"cpu": "2"}}).requests_and_limits()[0].cpu_milli == 2000
    dedicated = defaulted(policy, cpu={"dedicatedCpuPlacement": True})
    assert dedicated.requests_and_limits()[0].cpu_milli is None
    usual = LauncherPolicy(cpu_request=parse("0.1"))
    assert defaulted(usual).requests_and_limits()[0].cpu_milli is None


@pytest.mark.parametrize(
    ("domain", "guest"),
    [
        ({"memory": {"guest": "3Gi"}, "resources": {"requests": {"memory": "1Gi"}}}, 3 * GI),
        ({"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}}, GI),
        ({"resources": {"requests": {"memory": "0"}, "limits": {"memory": "2Gi"}}}, 2 * GI),
        ({"memory": {"hugepages": {"pageSize": "2Mi"}}, "resources": {"limits": {"memory": "2Gi"}}}, 2 * GI),
        ({"memory": {"hugepages": {"pageSize": "2Mi"}}}, 2 * MI),
        ({"memory": {"hugepages": {"pageSize": "many"}}}, "many"),
        ({}, None),
    ],
)
def test_the_guest_gets_its_memory_from_request_limit_or_page(
    domain: dict[str, Any], guest: int | str | None
) -> None:
    if guest == "many":
        with pytest.raises(InvalidInput, match="pageSize"):
            assert defaulted(**domain).guest_bytes
    else:
        assert defaulted(**domain).guest_bytes == guest


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ({}, (1, 1, 1)),
        ({"cpu": {"model": "host-model"}}, (1, 1, 1)),
        ({"cpu": {"cores": 4}}, (None, 4, None)),
        ({"cpu": {"model": "x"}, "resources": {"requests": {"cpu": "1500m"}}}, (2, 1, 1)),
        ({"resources": {"limits": {"cpu": "3"}, "requests": {"cpu": "1"}}}, (3, 1, 1)),
        ({"cpu": {"cores": 0}, "resources": {"limits": {"cpu": "3"}}}, (3, 1, 1)),
    ],
)
def test_the_topology_comes_from_the_cpu_limit_or_request(
    domain: dict[str, Any], expected: tuple[int | None, int | None, int | None]
) -> None:
    assert topology(defaulted(**domain)) == expected


def test_a_stored_vm_stays_as_it_is() -> None:
    once = defaulted(resources={"limits": {"cpu": "2", "memory": "3Gi"}})
    assert with_vm_defaults(once, PLAIN) == once
    assert once.spec.architecture == "amd64"


def test_a_guest_may_grow_to_four_times_its_size() -> None:
    def most(vmi: VirtualMachineInstance, policy: LauncherPolicy = PLAIN) -> Any:
        memory = with_vm_defaults(vmi, policy).spec.domain.memory
        return memory.max_guest if memory else None

    assert most(vm_of("2Gi")) == "8Gi"
    assert most(vm_of("2Gi", memory={"maxGuest": "3Gi"})) == "3Gi"
    assert most(vm_of("2Gi"), LauncherPolicy(max_guest=parse("16Gi"))) == "16Gi"
    assert most(vm_of("2Gi"), LauncherPolicy(max_guest_ratio=2)) == "4Gi"
    assert most(vm_of("2Gi"), LauncherPolicy(live_update=False)) is None
    for vm in (
        vm_of("512Mi"),
        vm_of("3000000000"),
        vm_of("2Gi", spec={"architecture": "arm64"}),
        vm_of("2Gi", spec={"architecture": "s390x"}),
        vm_of("2Gi", launchSecurity={"sev": {}}),
        vm_of("2Gi", cpu={"cores": 1, "realtime": {}}),
        vm_of("2Gi", cpu={"cores": 1, "numa": {"guestMappingPassthrough": {}}}),
        vm_of("1536Mi", memory={"hugepages": {"pageSize": "1Gi"}}),
    ):
        assert most(vm) is None
    assert "exceeds" in hotplug_obstacle(vm_of("4Gi", spec={"architecture": "amd64"}), parse("2Gi"))
    assert "not given" in hotplug_obstacle(vm_of(None), parse("2Gi"))
