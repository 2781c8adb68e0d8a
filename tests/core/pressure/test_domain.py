from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.domain import SwapRooms, domains
from overbook.core.pressure.model import is_below
from overbook.core.pressure.sample import LimitSample, NodeSample, PodSample, Sample
from tests.core.simulated_node import GI, MI

NODE = NodeSample(16 * GI, 2 * GI, 8 * GI, 6 * GI)
TOP, BURSTABLE = "kubepods.slice", "kubepods.slice/kubepods-burstable.slice"
PATHS = ("", "kubelet", "kubelet/kubepods", "kubelet/kubepods/burstable", "kubelet/kubepods/besteffort")
SIZE = st.integers(0, 32 * GI)


def sample(*limits: LimitSample, node: NodeSample = NODE, **below: str | None) -> Sample:
    return with_pods(below, *limits, node=node)


def with_pods(below: Mapping[str, str | None], *limits: LimitSample, node: NodeSample = NODE) -> Sample:
    pods = tuple(PodSample(uid, (), below=path) for uid, path in below.items())
    return Sample(1.0, 1.0, node, pods, limits)


def test_a_node_without_limits_is_the_only_domain() -> None:
    (node,) = domains(sample(), {})
    assert (node.path, node.sizes.memory_total_bytes) == (None, 16 * GI)


@pytest.mark.parametrize("limit", [None, 16 * GI, 17 * GI])
def test_a_limit_that_never_binds_is_no_domain(limit: int | None) -> None:
    found = domains(sample(LimitSample(TOP, "kubepods", limit, 15 * GI)), {})
    assert [domain.path for domain in found] == [None]


def test_the_tightest_domain_comes_first() -> None:
    found = domains(sample(LimitSample(TOP, "kubepods", 13 * GI, 13 * GI)), {})
    assert [domain.path for domain in found] == [TOP, None]
    assert found[0].sentence(found[1].sizes) == (
        "kubepods is at its limit of 13.0Gi; the node itself has 2.0Gi"
    )


def test_a_domain_with_memory_left_says_how_much() -> None:
    top, node = domains(sample(LimitSample(TOP, "kubepods", 13 * GI, 12 * GI)), {})
    assert top.sentence(node.sizes).startswith("kubepods has 1.0Gi left of its limit of 13.0Gi;")


def test_page_cache_below_a_limit_is_available() -> None:
    cache = LimitSample(TOP, "kubepods", 10 * GI, 10 * GI, inactive_file_bytes=2 * GI, active_file_bytes=GI)
    top = next(domain for domain in domains(sample(cache), {}) if domain.path == TOP)
    assert 2.8 * GI < (top.sizes.memory_available_bytes or 0) < 3 * GI


def test_huge_pages_are_no_part_of_the_node() -> None:
    huge = msgspec.structs.replace(NODE, memory_total_bytes=64 * GI, hugetlb_bytes=48 * GI)
    limit = LimitSample(TOP, "kubepods", 20 * GI, 10 * GI)
    (node,) = domains(sample(limit, node=huge), {})  # the limit is above what the node has for all
    assert node.sizes.memory_total_bytes == 16 * GI
    assert node.sizes.installed_bytes == 64 * GI
    assert node.available_share == 2 / 16


def test_swap_of_a_domain_is_what_it_uses_and_may_still_use() -> None:
    narrow = LimitSample("", "above", None, None, 3 * GI, 2 * GI)
    top = LimitSample(TOP, "kubepods", 13 * GI, 13 * GI, None, GI)
    found = domains(sample(narrow, top), {})[0].sizes
    assert (found.swap_used_bytes, found.swap_free_bytes) == (GI, GI)


def test_swap_that_is_not_counted_by_cgroup_is_the_pods_own() -> None:
    top = LimitSample(TOP, "kubepods", 13 * GI, 13 * GI)
    found = domains(sample(top, a=TOP, b=BURSTABLE, other=None), {"a": GI, "b": MI, "other": 7})[0]
    assert found.sizes.swap_used_bytes == GI + MI


def test_pods_share_the_room_of_the_cgroup_above_them() -> None:
    limits = (
        LimitSample("", "above", None, None, 10 * GI, 2 * GI),
        LimitSample(BURSTABLE, "Burstable", None, None, 3 * GI, GI),
    )
    rooms = SwapRooms(sample(*limits, a=BURSTABLE, b=BURSTABLE, c="", stranger=None))
    assert rooms.together({"a": GI, "b": 5 * GI}) == 2 * GI
    assert rooms.together({"a": GI, "b": 5 * GI, "c": 9 * GI}) == 8 * GI
    assert rooms.together({"stranger": 50 * GI}) == 50 * GI
    assert (rooms.least(BURSTABLE), rooms.least(TOP), rooms.least(None)) == (2 * GI, 8 * GI, None)
    assert rooms.above("a") == ("", BURSTABLE)


LIMITS = st.lists(
    st.builds(
        LimitSample,
        path=st.sampled_from(PATHS),
        kind=st.sampled_from(["kubepods", "Burstable", "above", "pod"]),
        memory_max_bytes=st.none() | SIZE,
        memory_current_bytes=st.none() | SIZE,
        swap_max_bytes=st.none() | SIZE,
        swap_current_bytes=st.none() | SIZE,
        inactive_file_bytes=SIZE,
        active_file_bytes=SIZE,
        slab_reclaimable_bytes=SIZE,
    ),
    unique_by=lambda limit: limit.path,
    max_size=5,
)


@given(limits=LIMITS, available=st.none() | SIZE, huge=SIZE, free=st.none() | SIZE)
def test_any_limits_make_sane_domains(
    limits: list[LimitSample], available: int | None, huge: int, free: int | None
) -> None:
    node = NodeSample(16 * GI, available, 8 * GI, free, hugetlb_bytes=huge)
    found = domains(sample(*limits, node=node), {})
    assert sum(domain.path is None for domain in found) == 1
    shares = [domain.available_share for domain in found]
    assert shares == sorted(shares)
    for domain in found:
        sizes = domain.sizes
        assert sizes.memory_available_bytes is None or sizes.memory_available_bytes >= 0
        assert sizes.swap_total_bytes >= sizes.swap_used_bytes >= 0
        if domain.path is not None:
            assert sizes.memory_total_bytes < max(0, 16 * GI - huge)
            assert sizes.swap_free_bytes <= 8 * GI


@given(
    limits=LIMITS,
    pods=st.dictionaries(
        st.sampled_from("abcdef"), st.tuples(st.none() | st.sampled_from(PATHS), SIZE), max_size=6
    ),
)
def test_pods_together_never_swap_more_than_any_cgroup_allows(
    limits: list[LimitSample], pods: dict[str, tuple[str | None, int]]
) -> None:
    known = {limit.path for limit in limits}
    below = {uid: path if path in known else None for uid, (path, _) in pods.items()}
    rooms = SwapRooms(with_pods(below, *limits))
    wanted = {uid: room for uid, (_, room) in pods.items()}
    together = rooms.together(wanted)
    assert 0 <= together <= sum(wanted.values())
    for path, room in rooms.paths.items():
        inside = {uid: size for uid, size in wanted.items() if uid in below and _in(below[uid], path)}
        assert rooms.together(inside) <= min(room, sum(inside.values()))
    if not rooms.paths:
        assert together == sum(wanted.values())


def _in(path: str | None, above: str) -> bool:
    return path is not None and is_below(path, above)
