from hypothesis import given
from hypothesis import strategies as st

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import resolve
from overbook.core.overcommit.level import levels_of, pod_levels
from overbook.status.sums import NO_PODS, Summing
from tests.core.pod_manifests import GI, MI, pod_of

OWNER = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db", "controller": True}
LIMITED = pod_of({"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "cpu": "1"}})
OPEN = pod_of({})


def launcher(request: str, overhead: str | None = None) -> Pod:
    container = {"name": "compute", "resources": {"requests": {"memory": request}}}
    annotations = {"kubevirt.io/memory-overhead-bytes": overhead} if overhead else None
    return pod_of(owners=[OWNER], annotations=annotations, containers=[container])


def test_pods_with_different_requests_are_told_apart() -> None:
    summing = Summing(150)
    total = summing.of(LIMITED) + summing.of(OPEN) + summing.of(LIMITED)
    assert total.pods == 3
    assert total.levels == levels_of(pod_levels(resolve(pod)) for pod in (LIMITED, OPEN, LIMITED))
    assert total.levels.memory.without_limit == 1


def test_a_guests_size_is_computed_from_request_and_percentage() -> None:
    sums = Summing(150).of(launcher(str(2 * GI + 300 * MI), str(300 * MI)))
    assert (sums.virtual_machines, sums.guest_bytes) == (1, 3 * GI)


def test_the_whole_request_is_the_guests_without_an_overhead() -> None:
    for overhead in (None, "much"):
        assert Summing(150).of(launcher("2Gi", overhead)).guest_bytes == 3 * GI


def test_an_owner_that_is_no_vm_makes_no_guest() -> None:
    pod = pod_of({"requests": {"memory": "1Gi"}}, owners=[{**OWNER, "kind": "ReplicaSet"}])
    assert Summing(100).of(pod).virtual_machines == 0


@given(st.lists(st.sampled_from([LIMITED, OPEN, launcher("1Gi"), launcher("2Gi", str(300 * MI))])))
def test_sums_are_zero_after_all_pods_are_removed(pods: list[Pod]) -> None:
    summing = Summing(200)
    total = NO_PODS
    for pod in pods:
        total += summing.of(pod)
    assert total.levels == levels_of(pod_levels(resolve(pod)) for pod in pods)
    for pod in reversed(pods):
        total -= summing.of(pod)
    assert total == NO_PODS
