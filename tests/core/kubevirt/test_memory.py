import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.memory import LauncherPolicy, guest_bytes, launcher_memory, request_bytes
from overbook.core.kubevirt.overhead import overhead_bytes, release, reported_overhead_bytes
from tests.core.pod_manifests import GI, MI, pod_of, vm_of

HALF_AGAIN = LauncherPolicy(percent=150)
sizes = st.integers(1, 1 << 20).map(lambda mib: mib * MI) | st.integers(1, 4096).map(
    lambda giga: giga * 10**9
)


def test_the_worked_example_of_a_default_vm() -> None:
    vm = vm_of("4Gi")
    assert overhead_bytes(vm) == 296 * MI
    assert launcher_memory(vm).resources.requests.memory_bytes == 4392 * MI
    overcommitted = launcher_memory(vm, HALF_AGAIN).resources
    assert overcommitted.requests == Amounts.of(200, 4 * GI * 100 // 150 + 296 * MI)
    assert overcommitted.limits == Amounts()


@pytest.mark.parametrize(
    ("version", "mib"), [("v1.3", 266), ("v1.4.1", 266), ("1.5.0", 276), ("v1.9.2", 276), ("main", 296)]
)
def test_overhead_depends_on_the_release(version: str, mib: int) -> None:
    assert overhead_bytes(vm_of(), running=release(version)) == mib * MI


def test_releases_to_come_count_as_main_and_old_ones_are_refused() -> None:
    assert release("v1.27.3") == release("main")
    for version in ("v1.2.9", "v0.59", "", "latest", "v2.0"):
        with pytest.raises(InvalidInput, match="KubeVirt version"):
            release(version)


def test_devices_beside_a_guest_cost_memory() -> None:
    plain = overhead_bytes(vm_of())
    for mib, vm in [
        (-32, vm_of(devices={"autoattachGraphicsDevice": False})),
        (1024, vm_of(devices={"gpus": [{"name": "g", "deviceName": "vendor.com/gpu"}]})),
        (1024, vm_of(devices={"interfaces": [{"name": "n", "sriov": {}}]})),
        (250, vm_of(devices={"interfaces": [{"name": "n", "passtBinding": {}}]})),
        (53, vm_of(devices={"tpm": {}})),
        (0, vm_of(devices={"tpm": {"enabled": False}})),
        (256, vm_of(launchSecurity={"sev": {}})),
        (100, vm_of(cpu={"cores": 2, "dedicatedCpuPlacement": True})),
        (110, vm_of(spec={"readinessProbe": {"exec": {"command": ["true"]}}})),
        (0, vm_of(spec={"readinessProbe": {"tcpSocket": {"port": 22}}})),
        (1, vm_of(spec={"volumes": [{"name": "m", "downwardMetrics": {}}]})),
        (64, vm_of(memory={"reservedOverhead": {"addedOverhead": "64Mi"}})),
    ]:
        assert (overhead_bytes(vm) - plain) // MI == mib
    tables = overhead_bytes(vm_of(resources={"requests": {"memory": "4Gi"}})) - plain
    assert tables == 4_294_968_000 // 512
    assert overhead_bytes(vm_of(), architecture="arm64") - plain == 128 * MI
    assert overhead_bytes(vm_of(), ratio="2", binding_bytes=5) == plain + 310_379 * 1000 + 5
    assert overhead_bytes(vm_of(), ratio="1") == plain


@pytest.mark.parametrize("ratio", ["0", "-1", "nan", "inf", "two"])
def test_an_invalid_ratio_is_refused(ratio: str) -> None:
    with pytest.raises(InvalidInput, match="additionalGuestMemoryOverheadRatio"):
        overhead_bytes(vm_of(), ratio=ratio)


def test_a_request_or_limit_set_by_hand_disables_the_percentage() -> None:
    by_hand = launcher_memory(vm_of("8Gi", resources={"requests": {"memory": "2Gi"}}), HALF_AGAIN)
    assert by_hand.resources.requests.memory_bytes == 2 * GI + by_hand.overhead_bytes
    limited = launcher_memory(vm_of("8Gi", resources={"limits": {"memory": "8Gi"}}), HALF_AGAIN)
    assert limited.resources.requests.memory_bytes == 8 * GI + limited.overhead_bytes
    assert limited.resources.limits == Amounts.of(None, 8 * GI + limited.overhead_bytes)


def test_a_known_overhead_wins_over_a_computed_one() -> None:
    memory = launcher_memory(vm_of("4Gi"), HALF_AGAIN, known_overhead_bytes=5)
    assert memory.resources.requests.memory_bytes == 4 * GI * 100 // 150 + 5


def test_dedicated_cpus_bring_a_limit_below_the_guest() -> None:
    vm = vm_of("6Gi", cpu={"cores": 2, "sockets": 2, "dedicatedCpuPlacement": True})
    memory = launcher_memory(vm, HALF_AGAIN)
    assert memory.resources.limits == memory.resources.requests
    assert memory.resources.requests == Amounts.of(4000, 4 * GI + memory.overhead_bytes)


def test_large_pages_are_promised_whole_from_1_10_on() -> None:
    vm = vm_of("4Gi", memory={"hugepages": {"pageSize": "1Gi"}})
    assert launcher_memory(vm, HALF_AGAIN).hugepages_bytes == 4 * GI
    assert launcher_memory(vm, HALF_AGAIN).resources.requests.memory_bytes == 296 * MI
    before = launcher_memory(vm, HALF_AGAIN, running=release("v1.9"))
    assert before.hugepages_bytes == 4 * GI * 100 // 150


def test_a_quota_on_limits_brings_a_limit_of_twice_the_request() -> None:
    policy = LauncherPolicy(auto_memory_limit_ratio=2.0, auto_cpu_limit=True)
    resources = launcher_memory(vm_of("1Gi"), policy).resources
    assert resources.limits == Amounts.of(2000, 2 * (GI + 296 * MI))


@given(st.integers(1, 512), st.integers(1, 1000))
def test_vcpus_are_requested_by_the_allocation_ratio_rounded_up(cores: int, ratio: int) -> None:
    vm = vm_of(cpu={"cores": cores})
    requests = launcher_memory(vm, LauncherPolicy(cpu_allocation_ratio=ratio)).resources.requests
    assert requests.cpu_milli == -(-cores * 1000 // ratio)


@given(sizes, st.integers(0, 1 << 33), st.integers(10, 10_000))
def test_the_guests_size_is_found_from_its_pods_request(guest: int, overhead: int, percent: int) -> None:
    assert guest_bytes(request_bytes(guest, overhead, percent), overhead, percent) == guest


def test_a_request_smaller_than_its_overhead_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least the overhead"):
        guest_bytes(5, 6, 150)


@pytest.mark.parametrize("percent", [0, 9, -1, 10_001])
def test_a_percentage_out_of_range_is_refused(percent: int) -> None:
    with pytest.raises(InvalidInput, match="memoryOvercommitPercentage"):
        launcher_memory(vm_of(), LauncherPolicy(percent=percent))


def test_a_pods_own_overhead_is_read_or_refused() -> None:
    annotation = "kubevirt.io/memory-overhead-bytes"
    assert reported_overhead_bytes(pod_of({}, annotations={annotation: "310378496"})) == 296 * MI
    assert reported_overhead_bytes(pod_of({})) is None
    for text in ("", "-5", "296Mi", "9" * 30, "٣"):
        with pytest.raises(InvalidInput, match="a number of bytes"):
            reported_overhead_bytes(pod_of({}, annotations={annotation: text}))


def test_an_invalid_quantity_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"shop/db: spec\.domain\.memory\.guest"):
        launcher_memory(vm_of("four"))
    with pytest.raises(InvalidInput, match=r"shop/db: spec\.domain\.resources\.requests\.memory"):
        launcher_memory(vm_of(resources={"requests": {"memory": "-1"}}))
