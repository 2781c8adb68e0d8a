from hypothesis import given
from hypothesis import strategies as st

from overbook.core.overcommit.facts import original_request_bytes
from overbook.core.pressure.rank import MemoryUsage, RankInput, rank_original
from tests.conformance.original import is_over_limit, rank_input
from tests.core.pod_manifests import GI, MI, pod_of

inputs = st.builds(
    RankInput,
    key=st.text(max_size=2),
    priority=st.sampled_from([-10, 0, 100]),
    request_bytes=st.sampled_from([0, 100, 200]),
    over_limit=st.booleans(),
    usage=st.none() | st.builds(MemoryUsage, st.sampled_from([0, 100, 150]), st.sampled_from([0, 50])),
)


def order(*pods: RankInput) -> list[str]:
    return [pod.key for pod in rank_original(pods)]


def test_each_criterion_outweighs_those_after_it() -> None:
    assert order(
        RankInput(key="small", request_bytes=100, usage=MemoryUsage(50)),
        RankInput(key="over request", request_bytes=100, usage=MemoryUsage(90, 20)),
        RankInput(key="far over request", request_bytes=100, usage=MemoryUsage(900)),
        RankInput(key="over request, low", priority=-5, request_bytes=100, usage=MemoryUsage(101)),
        RankInput(
            key="over limit, high", priority=1000, over_limit=True, request_bytes=100, usage=MemoryUsage(101)
        ),
        RankInput(key="unknown, high", priority=1000),
        RankInput(key="unknown"),
    ) == [
        "unknown",
        "unknown, high",
        "over limit, high",
        "over request, low",
        "far over request",
        "over request",
        "small",
    ]


@given(st.lists(inputs, max_size=12))
def test_equal_pods_keep_their_order_and_none_is_lost(pods: list[RankInput]) -> None:
    ranked = rank_original(pods)
    assert sorted(map(repr, ranked)) == sorted(map(repr, pods))
    assert rank_original(ranked) == ranked


def test_request_is_the_containers_sum_or_largest_init_container() -> None:
    requests = {"requests": {"memory": "1Gi"}}
    assert original_request_bytes(pod_of(requests, requests, overhead={"memory": "1Mi"})) == 2 * GI + MI
    assert original_request_bytes(pod_of({}, overhead={"memory": "1Mi"})) == 0
    init = [{"resources": {"requests": {"memory": "3Gi"}}}]
    assert original_request_bytes(pod_of(requests, requests, init=init)) == 3 * GI


def test_a_container_over_its_limit_counts_with_its_swap() -> None:
    pod = pod_of({"limits": {"memory": "1Gi"}}, {})
    assert not is_over_limit(pod, {"c0": MemoryUsage(GI), "c1": MemoryUsage(9 * GI)})
    assert is_over_limit(pod, {"c0": MemoryUsage(GI, 1)})
    assert rank_input(pod, None, {}).usage is None
    assert rank_input(pod, MemoryUsage(GI, 1), {"c0": MemoryUsage(GI, 1)}).over_limit
