from typing import Any

import msgspec
import pytest

from overbook.core.kubevirt.definitions import Matcher, VirtualMachine, decode_definition
from overbook.core.kubevirt.instancetype import applied, decode_instancetype
from overbook.core.kubevirt.made import Catalog, MadeVm, made_vm
from overbook.core.kubevirt.memory import LauncherPolicy
from overbook.core.kubevirt.preference import PreferenceSpec, decode_preference
from overbook.core.kubevirt.vm import Cpu, VirtualMachineInstance
from tests.core.pod_manifests import GI


def kind_of(kind: str, name: str, spec: dict[str, Any], namespace: str | None = "lab") -> dict[str, Any]:
    return {
        "apiVersion": "instancetype.kubevirt.io/v1beta1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def sized(vcpus: int = 2, guest: str = "4Gi", **more: Any) -> dict[str, Any]:
    return {
        **more,
        "cpu": {"guest": vcpus, **more.get("cpu", {})},
        "memory": {"guest": guest, **more.get("memory", {})},
    }


def vm(domain: dict[str, Any] | None = None, status: Any = None, **spec: Any) -> VirtualMachine:
    manifest = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "v", "namespace": "lab"},
        "spec": {"runStrategy": "Always", "template": {"spec": {"domain": domain or {}}}, **spec},
        "status": status,
    }
    decoded, _ = decode_definition(manifest, "VirtualMachine")
    assert isinstance(decoded, VirtualMachine)
    return decoded


def made(machine: VirtualMachine, *objects: dict[str, Any], percent: int = 150) -> MadeVm:
    catalog = Catalog()
    for one in objects:
        catalog.add(one)
    return made_vm(machine, LauncherPolicy(percent=percent), catalog)


def compute(vm_made: MadeVm) -> tuple[Any, Any]:
    resources = vm_made.pod.containers[0].resources
    requests = (resources.requests if resources else None) or {}
    return requests.get("cpu"), requests.get("memory")


def topology(vmi: VirtualMachineInstance) -> tuple[Any, Any, Any]:
    cpu = vmi.spec.domain.cpu or Cpu()
    return cpu.sockets, cpu.cores, cpu.threads


SMALL = {"name": "small", "kind": "VirtualMachineInstancetype"}


def test_an_instancetype_gives_a_vm_its_size() -> None:
    own = kind_of("VirtualMachineInstancetype", "small", sized(4))
    of_cluster = kind_of("VirtualMachineClusterInstancetype", "small", sized(8), None)
    mine = made(vm(instancetype=SMALL), own, of_cluster)
    assert (compute(mine), mine.vmi.guest_bytes, mine.missing) == (("400m", "3190467242"), 4 * GI, "")
    for matcher in ({"name": "small"}, {"name": "small", "kind": "virtualmachineclusterinstancetype"}):
        assert compute(made(vm(instancetype=matcher), own, of_cluster))[0] == "800m"


@pytest.mark.parametrize(("percent", "request_mib"), [(25, 3072), (50, 2048), (0, None), (33, None)])
def test_an_instancetype_with_overcommit_goes_without_percentage(
    percent: int, request_mib: int | None
) -> None:
    found = kind_of("VirtualMachineInstancetype", "small", sized(memory={"overcommitPercent": percent}))
    one = made(vm(instancetype=SMALL), found)
    written = one.vmi.requests_and_limits()[0].memory_bytes
    if percent == 33:
        # 32-bit floats: not the exact 2877628088.
        assert written == 2877627904
    else:
        assert written == (request_mib and request_mib << 20)


def test_a_missing_instancetype_refuses_nothing() -> None:
    for machine, name in (
        (vm(instancetype=SMALL), "instancetype small"),
        (vm({"memory": {"guest": "1Gi"}}, preference={"name": "p"}), "preference p"),
        (vm(instancetype={"inferFromVolume": "root"}), "instancetype inferred from volume root"),
    ):
        one = made(machine)
        assert (one.missing, one.refusal) == (name, "")


def test_the_revision_that_was_stored_at_the_first_start_counts() -> None:
    now = kind_of("VirtualMachineInstancetype", "small", sized(4))
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "v-small-1", "namespace": "lab"},
        "data": kind_of("VirtualMachineInstancetype", "small", sized(2)),
    }
    by_spec = vm(instancetype={**SMALL, "revisionName": "v-small-1"})
    by_status = vm(
        instancetype=SMALL, status={"instancetypeRef": {"controllerRevisionRef": {"name": "v-small-1"}}}
    )
    for machine in (by_spec, by_status):
        assert compute(made(machine, now, revision))[0] == "200m"
        assert compute(made(machine, now))[0] == "400m"


@pytest.mark.parametrize(
    "domain",
    [
        {"memory": {"guest": "1Gi"}},
        {"cpu": {"cores": 1}},
        {"cpu": {"model": "x"}},
        {"resources": {"requests": {"cpu": "1"}}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"launchSecurity": {"sev": {}}},
        {"devices": {"gpus": [{"name": "g", "deviceName": "d"}]}},
    ],
)
def test_a_vm_that_gives_what_its_instancetype_gives_is_refused(domain: dict[str, Any]) -> None:
    found = kind_of(
        "VirtualMachineInstancetype",
        "small",
        sized(cpu={"model": "y"}, launchSecurity={"sev": {}}, gpus=[{"name": "g", "deviceName": "d"}]),
    )
    assert "instancetype gives" in made(vm(domain, instancetype=SMALL), found).refusal


def test_all_that_an_instancetype_gives_is_applied() -> None:
    spec = sized(
        cpu={"dedicatedCPUPlacement": True, "isolateEmulatorThread": True, "maxSockets": 8},
        memory={"hugepages": {"pageSize": "2Mi"}, "maxGuest": "8Gi"},
        ioThreadsPolicy="supplementalPool",
        ioThreads={"supplementalPoolThreadCount": 2},
        hostDevices=[{"name": "h", "deviceName": "d"}],
        annotations={"a": "1"},
    )
    one = made(vm(instancetype=SMALL), kind_of("VirtualMachineInstancetype", "small", spec))
    assert compute(one)[0] == "5"
    assert one.vmi.has_hugepages
    assert one.vmi.has_vfio
    assert one.pod.annotations["a"] == "1"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (8, 1, 1)),
        ({"cpu": {"preferredCPUTopology": "sockets"}}, (8, 1, 1)),
        ({"cpu": {"preferredCPUTopology": "any"}}, (8, 1, 1)),
        ({"cpu": {"preferredCPUTopology": "preferCores"}}, (1, 8, 1)),
        ({"cpu": {"preferredCPUTopology": "threads"}}, (1, 1, 8)),
        ({"cpu": {"preferredCPUTopology": "spread"}}, (4, 2, 1)),
        ({"cpu": {"preferredCPUTopology": "preferSpread"}, "preferSpreadSocketToCoreRatio": 4}, (2, 4, 1)),
        (
            {"cpu": {"preferredCPUTopology": "spread", "spreadOptions": {"across": "CoresThreads"}}},
            (1, 4, 2),
        ),
        (
            {"cpu": {"preferredCPUTopology": "spread", "spreadOptions": {"across": "SocketsCoresThreads"}}},
            (2, 2, 2),
        ),
    ],
)
def test_a_preference_spreads_the_vcpus(spec: dict[str, Any], expected: tuple[int, int, int]) -> None:
    instancetype = decode_instancetype(kind_of("VirtualMachineInstancetype", "i", sized(8)), "i")
    preference = decode_preference(kind_of("VirtualMachinePreference", "p", spec), "p")
    assert topology(applied(vm().instance(), instancetype, preference)) == expected
    single = decode_instancetype(kind_of("VirtualMachineInstancetype", "i", sized(1)), "i")
    assert topology(applied(vm().instance(), single, preference)) == (1, 1, 1)


def test_vcpus_that_cannot_be_spread_are_refused() -> None:
    preference = kind_of("VirtualMachinePreference", "p", {"cpu": {"preferredCPUTopology": "spread"}})
    machine = vm(instancetype=SMALL, preference={"name": "p", "kind": "VirtualMachinePreference"})
    found = kind_of("VirtualMachineInstancetype", "small", sized(3))
    assert "a multiple of 2" in made(machine, found, preference).refusal


def test_a_preference_gives_devices_that_the_vm_does_not() -> None:
    spec = {
        "devices": {
            "preferredAutoattachGraphicsDevice": False,
            "preferredAutoattachSerialConsole": False,
            "preferredTPM": {},
        },
        "annotations": {"a": "preferred", "b": "preferred"},
        "preferredArchitecture": "arm64",
    }
    preference = kind_of("VirtualMachineClusterPreference", "p", spec, None)
    plain = made(vm({"memory": {"guest": "1Gi"}}, preference={"name": "p"}), preference, percent=100)
    assert plain.vmi.spec.architecture == "arm64"
    assert plain.pod.annotations["kubevirt.io/memory-overhead-bytes"] == str((256 + 53 + 128) << 20)
    assert not plain.pod.init_containers
    own = {"memory": {"guest": "1Gi"}, "devices": {"autoattachGraphicsDevice": True}}
    assert made(vm(own, preference={"name": "p"}), preference).vmi.spec.domain.devices.tpm is not None


@pytest.mark.parametrize(
    ("preferred", "written", "efi"),
    [
        ({"preferredEfi": {"secureBoot": False}}, None, False),
        ({"preferredUseEfi": True, "preferredUseSecureBoot": True}, None, True),
        ({"preferredUseBios": True, "preferredEfi": {}}, None, None),
        ({"preferredUseSecureBoot": False}, {"efi": {}}, False),
        ({"preferredEfi": {"secureBoot": False}}, {"bios": {}}, None),
    ],
)
def test_a_preference_gives_the_boot_loader(
    preferred: dict[str, Any], written: dict[str, Any] | None, efi: bool | None
) -> None:
    preference = decode_preference(kind_of("VirtualMachinePreference", "p", {"firmware": preferred}), "p")
    domain = {"firmware": {"bootloader": written}} if written else {}
    firmware = applied(vm(domain).instance(), None, preference).spec.domain.firmware
    loader = firmware.bootloader if firmware else None
    assert (loader.efi.secure_boot if loader and loader.efi else None) is efi


@pytest.mark.parametrize(
    ("domain", "topology_word", "enough"),
    [
        ({"cpu": {"cores": 4}}, "cores", True),
        ({"cpu": {"cores": 4}}, "sockets", False),
        ({"cpu": {"sockets": 4}}, "sockets", True),
        ({"cpu": {"threads": 4}}, "threads", True),
        ({"cpu": {"sockets": 2, "cores": 2}}, "spread", True),
        ({"cpu": {"sockets": 2, "cores": 2, "threads": 1}}, "any", True),
        ({}, "any", False),
    ],
)
def test_a_vm_smaller_than_its_preference_requires_is_refused(
    domain: dict[str, Any], topology_word: str, enough: bool
) -> None:
    sized_vm = vm({"memory": {"guest": "4Gi"}, **domain})
    refusal = required({"cpu": {"guest": 4}}, sized_vm, preferredCPUTopology=topology_word)
    assert (not refusal) is enough
    assert enough or "vCPUs" in refusal


def required(requirements: dict[str, Any], of: VirtualMachine, **cpu: Any) -> str:
    """Return why a VM is refused whose preference has these requirements."""
    catalog = Catalog()
    catalog.add(kind_of("VirtualMachinePreference", "p", {"requirements": requirements, "cpu": cpu}))
    catalog.add(kind_of("VirtualMachineInstancetype", "i", sized(2)))
    chosen = Matcher(kind="VirtualMachinePreference", name="p")
    of = msgspec.structs.replace(of, spec=msgspec.structs.replace(of.spec, preference=chosen))
    return made_vm(of, LauncherPolicy(), catalog).refusal


def test_an_instancetype_smaller_than_required_is_refused() -> None:
    small = vm(instancetype={"kind": "VirtualMachineInstancetype", "name": "i"})
    for requirements in ({"cpu": {"guest": 4}}, {"memory": {"guest": "8Gi"}}, {"architecture": "arm64"}):
        assert "preference" in required(requirements, small)
    enough = {"cpu": {"guest": 2}, "memory": {"guest": "4Gi"}, "architecture": "amd64"}
    assert not required(enough, small)
    assert PreferenceSpec().requirements is None


def test_a_requirement_is_met_by_what_kubevirt_fills_in() -> None:
    by_requests = vm({"resources": {"requests": {"cpu": "4", "memory": "4Gi"}}})
    assert not required({"cpu": {"guest": 4}, "memory": {"guest": "4Gi"}}, by_requests)
    assert required({"cpu": {"guest": 5}}, by_requests)


def test_a_matcher_without_a_kind_means_the_cluster() -> None:
    assert Matcher(name="a").of_cluster
    assert not Matcher(name="a", kind="VirtualMachineInstancetype").of_cluster
