from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import resolve
from overbook.core.overcommit.allowance import SwapPolicy, allowances, eligibility, pod_facts
from overbook.core.overcommit.facts import ContainerFacts
from overbook.core.overcommit.swap import SWAP_ANNOTATION
from tests.conformance.original import limited_swap
from tests.core.pod_manifests import GI, MI, pod_of

BURSTABLE = {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}
GUARANTEED = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
KUBEVIRT = [
    {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "cart",
        "uid": "0b1c0a12-0000-4000-8000-000000000001",
        "controller": True,
    }
]
RAM, SWAP = 16 * GI, 8 * GI
ENABLED, DISABLED = {SWAP_ANNOTATION: "enabled"}, {SWAP_ANNOTATION: "disabled"}


def reason(pod: Pod, policy: SwapPolicy | None = None, namespace: dict[str, str] | None = None) -> str:
    resolved = resolve(pod)
    return eligibility(resolved, resolved.containers[0], RAM, policy or SwapPolicy(), namespace)


def with_uid(pod: Pod) -> Pod:
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, uid="u"))


def wanting(*whole_bytes: int | None, request: int = 100 * MI) -> list[ContainerFacts]:
    return [ContainerFacts("c", request, None, "Eligible", whole) for whole in whole_bytes]


def given_out(containers: list[ContainerFacts], swap: int = SWAP, **policy: Any) -> list[int]:
    return [d.swap_max_bytes for d in allowances(containers, RAM, swap, SwapPolicy(**policy))]


def test_only_burstable_vms_swap_by_default() -> None:
    assert reason(pod_of(BURSTABLE, owners=KUBEVIRT)) == "Eligible"
    assert reason(pod_of(BURSTABLE)) == "NotVirtualMachine"
    assert reason(pod_of(BURSTABLE, labels={"kubevirt.io": "virt-launcher"})) == "NotVirtualMachine"
    assert reason(pod_of(BURSTABLE), SwapPolicy(eligibility="Burstable")) == "Eligible"


@pytest.mark.parametrize("eligible", ["BurstableVirtualMachines", "Burstable"])
@pytest.mark.parametrize("namespace", [None, ENABLED])
def test_guaranteed_pods_never_swap(eligible: Any, namespace: dict[str, str] | None) -> None:
    pod = pod_of(GUARANTEED, owners=KUBEVIRT, annotations=ENABLED)
    assert reason(pod, SwapPolicy(eligibility=eligible), namespace) == "NotBurstable"


def test_a_namespace_opts_in_and_a_pod_may_only_opt_out() -> None:
    vm, web = pod_of(BURSTABLE, owners=KUBEVIRT), pod_of(BURSTABLE)
    assert reason(vm, namespace=DISABLED) == "DisabledOnNamespace"
    assert reason(web, namespace=ENABLED) == "Eligible"
    assert reason(pod_of(BURSTABLE, annotations=ENABLED)) == "NotVirtualMachine"
    assert reason(pod_of(BURSTABLE, annotations=ENABLED), namespace=DISABLED) == "DisabledOnNamespace"
    assert reason(pod_of(BURSTABLE, annotations=DISABLED), namespace=ENABLED) == "DisabledOnPod"
    assert reason(pod_of(BURSTABLE, owners=KUBEVIRT, annotations=DISABLED)) == "DisabledOnPod"
    assert reason(web, namespace={SWAP_ANNOTATION: "perhaps"}) == "NotVirtualMachine"


@given(
    st.lists(st.tuples(st.integers(1, 1 << 40), st.booleans()), max_size=6),
    st.integers(1, 1 << 40),
    st.integers(0, 1 << 40),
)
def test_proportional_is_what_the_kubelet_gives(
    requests: list[tuple[int, bool]], ram: int, swap: int
) -> None:
    written = [
        {"requests": {"memory": str(request)}, **({"limits": {"memory": str(request)}} if limited else {})}
        for request, limited in requests
    ]
    pod = resolve(with_uid(pod_of(*written, {"requests": {"memory": "1"}}, owners=KUBEVIRT)))
    facts = pod_facts(pod, ram, SwapPolicy(eligibility="Burstable"))
    decided = allowances(facts.containers, ram, swap, SwapPolicy())
    expected = [limited_swap(pod, container, ram, swap) for container in pod.containers]
    assert [d.swap_max_bytes for d in decided] == [e.swap_max_bytes if swap else 0 for e in expected]


@given(st.lists(st.integers(1, 1 << 34), min_size=1, max_size=40), st.integers(0, 1 << 36))
def test_proportional_shares_fit_the_swap_if_requests_fit(requests: list[int], swap: int) -> None:
    containers = [ContainerFacts("c", request, None, "Eligible") for request in requests]
    decided = allowances(containers, sum(requests), swap, SwapPolicy())
    # Each is truncated from a float: one may come out a byte above its exact share at most.
    assert sum(d.swap_max_bytes for d in decided) <= swap + len(requests)


def test_whole_gives_each_guest_all_that_it_can_need() -> None:
    assert given_out(wanting(3 * GI, 0, 2 * GI), allowance="whole") == [3 * GI, 0, 2 * GI]


@given(st.lists(st.integers(0, 1 << 36), max_size=40), st.integers(1, 1 << 36))
def test_whole_is_scaled_down_to_the_nodes_swap(wishes: list[int], swap: int) -> None:
    got = given_out(wanting(*wishes), swap, allowance="whole")
    assert sum(got) <= swap
    if sum(wishes) <= swap:
        assert got == wishes
    else:
        assert all(
            abs(g - w * swap / sum(wishes)) <= 1 + w * 2**-50 for g, w in zip(got, wishes, strict=True)
        )
        assert sum(got) > swap - len(wishes) - 1


def test_pooled_may_exceed_the_nodes_swap_up_to_each_share() -> None:
    assert given_out(wanting(3 * GI, 3 * GI, 3 * GI), allowance="pooled") == [3 * GI] * 3
    assert given_out(wanting(7 * GI, 2 * GI), allowance="pooled") == [4 * GI, 2 * GI]
    assert given_out(wanting(7 * GI), allowance="pooled", pooled_share=0.25) == [2 * GI]


def test_an_unknown_need_gets_its_proportional_share() -> None:
    for allowance in ("proportional", "whole", "pooled"):
        assert given_out(wanting(None, request=1 * GI), allowance=allowance) == [GI // 2]


def test_a_guest_needs_what_it_may_hold_beyond_its_request() -> None:
    limited = pod_facts(resolve(with_uid(pod_of(BURSTABLE))), RAM, SwapPolicy())
    assert limited.containers[0].whole_bytes == GI
    manifest = pod_of(
        {"requests": {"memory": "250Mi"}},
        owners=KUBEVIRT,
        annotations={"kubevirt.io/memory-overhead-bytes": str(20 * MI)},
    )
    compute = msgspec.structs.replace(manifest.containers[0], name="compute")
    spec = msgspec.structs.replace(manifest.spec, containers=(compute,))
    pod = resolve(with_uid(msgspec.structs.replace(manifest, spec=spec)))
    whole = pod_facts(pod, RAM, SwapPolicy(percent=150)).containers[0].whole_bytes
    assert whole is not None
    assert abs(whole - 115 * MI) <= 2  # a guest of 345Mi: 230Mi of its request at 150 %
    assert pod_facts(pod, RAM, SwapPolicy(percent=100)).containers[0].whole_bytes == 0


def test_a_node_without_swap_gives_none_with_a_reason() -> None:
    containers = [*wanting(GI), ContainerFacts("c", GI, GI, "NotBurstable")]
    for swap in (0, -1):
        decided = allowances(containers, RAM, swap, SwapPolicy(allowance="pooled"))
        assert [(d.swap_max_bytes, d.reason) for d in decided] == [(0, "NodeHasNoSwap"), (0, "NotBurstable")]


def test_an_ineligible_pod_gets_no_swap_and_takes_none() -> None:
    containers = [ContainerFacts("c", GI, 9 * GI, "NotVirtualMachine", 8 * GI), *wanting(8 * GI)]
    assert given_out(containers, allowance="whole") == [0, 8 * GI]


def test_a_pod_without_uid_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.uid"):
        pod_facts(resolve(pod_of(BURSTABLE)), RAM, SwapPolicy())


@pytest.mark.parametrize(("field", "value"), [("pooled_share", 0.0), ("pooled_share", 1.1), ("percent", 5)])
def test_a_policy_out_of_range_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidInput):
        msgspec.structs.replace(SwapPolicy(), **{field: value}).check()
