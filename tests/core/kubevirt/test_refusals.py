from typing import Any

import pytest

from overbook.core.kubevirt.defaults import with_vm_defaults
from overbook.core.kubevirt.memory import LauncherPolicy, NetworkBinding
from overbook.core.kubevirt.refusals import vm_refusal
from tests.core.pod_manifests import vm_of

PINNED = {"dedicatedCpuPlacement": True}
UEFI = {"bootloader": {"efi": {"secureBoot": False}}}


def refused(guest: str | None = "2Gi", policy: LauncherPolicy | None = None, **domain: Any) -> str:
    policy = policy or LauncherPolicy()
    return vm_refusal(with_vm_defaults(vm_of(guest, **domain), policy), policy)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ({"guest": None}, "no memory"),
        ({"guest": "0", "cpu": {"cores": 1, **PINNED}}, "no memory"),
        ({"resources": {"requests": {"memory": "1000"}}}, "below 1M"),
        ({"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}, "above"),
        ({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}, "above"),
        ({"guest": "3Mi", "memory": {"hugepages": {"pageSize": "2Mi"}}}, "multiple"),
        ({"guest": "1Mi", "memory": {"hugepages": {"pageSize": "2Mi"}}}, "multiple"),
        ({"memory": {"hugepages": {"pageSize": "two"}}}, "is not a size"),
        ({"memory": {"maxGuest": "1Gi"}}, "maxGuest cannot be used"),
        ({"cpu": {"cores": 1, "isolateEmulatorThread": True}}, "isolateEmulatorThread"),
        ({"cpu": {"sockets": 4, "maxSockets": 2}}, "maxSockets"),
        ({"cpu": PINNED, "resources": {"requests": {"cpu": "1500m"}}}, "not whole"),
        ({"cpu": PINNED, "resources": {"limits": {"cpu": "1500m"}}}, "not whole"),
        (
            {
                "cpu": {"cores": 1, **PINNED},
                "resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            },
            "differ",
        ),
        ({"cpu": PINNED, "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}, "differ"),
        ({"cpu": {"cores": 4, **PINNED}, "resources": {"limits": {"cpu": "2"}}}, "different numbers"),
        ({"cpu": {"cores": 1, "threads": 3, **PINNED}}, "threads"),
        ({"cpu": {"threads": 2, **PINNED}, "spec": {"architecture": "arm64"}}, "threads"),
        ({"cpu": {"cores": 1, "numa": {"guestMappingPassthrough": {}}}}, "needs cpu.dedicatedCpuPlacement"),
        ({"cpu": {"cores": 1, **PINNED, "numa": {"guestMappingPassthrough": {}}}}, "hugepages"),
        ({"cpu": {"cores": 1, **PINNED, "realtime": {}}}, "realtime"),
        ({"ioThreadsPolicy": "supplementalPool"}, "supplementalPoolThreadCount"),
        ({"ioThreadsPolicy": "dedicated"}, "ioThreadsPolicy dedicated"),
        ({"devices": {"interfaces": [{"name": "net", "slirp": {}}]}}, "no longer has"),
        ({"devices": {"interfaces": [{"name": "net", "macvtap": {}}]}}, "no longer has"),
        ({"spec": {"architecture": "x86_64"}}, "architecture x86_64"),
        ({"launchSecurity": {"sev": {}}}, "efi"),
        ({"launchSecurity": {"sev": {}}, "firmware": {"bootloader": {"efi": {}}}}, "secureBoot"),
        ({"launchSecurity": {"sev": {}, "tdx": {}}, "firmware": UEFI}, "exactly one"),
        ({"launchSecurity": {}, "firmware": UEFI}, "exactly one"),
        ({"launchSecurity": {"sev": {}}, "spec": {"architecture": "arm64"}}, "arm64"),
        (
            {
                "launchSecurity": {"snp": {}},
                "firmware": {"bootloader": {"efi": {"secureBoot": False, "persistent": True}}},
            },
            "persistent",
        ),
    ],
)
def test_kubevirt_refuses(domain: dict[str, Any], text: str) -> None:
    assert text in refused(**domain)


@pytest.mark.parametrize(
    "domain",
    [
        {},
        {"resources": {"requests": {"memory": "0"}}},
        {"guest": None, "resources": {"limits": {"memory": "2Gi"}}},
        {"resources": {"limits": {"memory": "1Gi"}}},
        {"guest": "4Gi", "memory": {"hugepages": {"pageSize": "1Gi"}}},
        {"cpu": {"cores": 2, **PINNED}, "resources": {"limits": {"cpu": "2"}}},
        {"cpu": PINNED, "resources": {"limits": {"cpu": "3"}}},
        {"cpu": {"cores": 1, "threads": 2, **PINNED}},
        {
            "guest": "4Gi",
            "cpu": {"cores": 1, **PINNED, "realtime": {}, "numa": {"guestMappingPassthrough": {}}},
            "memory": {"hugepages": {"pageSize": "2Mi"}},
        },
        {"launchSecurity": {"sev": {}}, "firmware": UEFI},
        {"launchSecurity": {}, "spec": {"architecture": "s390x"}},
        {"ioThreadsPolicy": "supplementalPool", "ioThreads": {"supplementalPoolThreadCount": 1}},
    ],
)
def test_kubevirt_accepts(domain: dict[str, Any]) -> None:
    assert refused(**domain) == ""


def test_a_limit_below_the_guest_is_refused_without_live_update() -> None:
    limits = {"limits": {"memory": "1Gi"}}
    assert "above" in refused(policy=LauncherPolicy(live_update=False), resources=limits)


@pytest.mark.parametrize(
    ("gate", "domain"),
    [
        ("HostDevices", {"devices": {"hostDevices": [{"name": "h", "deviceName": "d"}]}}),
        ("DownwardMetrics", {"devices": {"downwardMetrics": {}}}),
        ("VSOCK", {"devices": {"autoattachVSOCK": True}}),
        ("ReservedOverheadMemlock", {"memory": {"reservedOverhead": {"addedOverhead": "1Mi"}}}),
        ("WorkloadEncryptionTDX", {"launchSecurity": {"tdx": {}}, "firmware": UEFI}),
        (
            "EnableVirtioFsStorageVolumes",
            {
                "devices": {"filesystems": [{"name": "f", "virtiofs": {}}]},
                "spec": {"volumes": [{"name": "f", "persistentVolumeClaim": {"claimName": "c"}}]},
            },
        ),
    ],
)
def test_a_vm_that_needs_a_feature_gate_is_refused_without_it(gate: str, domain: dict[str, Any]) -> None:
    assert gate in refused(policy=LauncherPolicy(feature_gates=frozenset()), **domain)
    assert refused(policy=LauncherPolicy(feature_gates=frozenset({gate})), **domain) == ""
    assert refused(**domain) == ""


def test_devices_and_bindings_must_be_configured() -> None:
    devices = {"gpus": [{"name": "g", "deviceName": "vendor.com/gpu"}]}
    none = LauncherPolicy(permitted_devices=frozenset())
    assert "vendor.com/gpu is not in" in refused(policy=none, devices=devices)
    assert (
        refused(policy=LauncherPolicy(permitted_devices=frozenset({"vendor.com/gpu"})), devices=devices) == ""
    )
    claimed = {"gpus": [{"name": "g", "claimName": "c", "requestName": "r"}]}
    assert refused(policy=none, devices=claimed) == ""
    bound = {"interfaces": [{"name": "n", "binding": {"name": "heavy"}}]}
    known = LauncherPolicy(feature_gates=frozenset(), bindings={"heavy": NetworkBinding()})
    assert "network binding heavy" in refused(policy=LauncherPolicy(feature_gates=frozenset()), devices=bound)
    assert refused(policy=known, devices=bound) == ""


def test_of_an_instance_alone_nobody_checks_how_far_it_may_grow() -> None:
    vmi = with_vm_defaults(vm_of("512Mi", memory={"maxGuest": "1Gi"}), LauncherPolicy())
    assert "maxGuest" in vm_refusal(vmi, LauncherPolicy())
    assert not vm_refusal(vmi, LauncherPolicy(), grows=False)
