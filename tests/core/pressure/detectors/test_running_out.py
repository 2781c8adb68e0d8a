from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overbook.core.overcommit.facts import ContainerFacts, PodFacts
from overbook.core.pressure.candidate import covered_bytes, margin_bytes
from overbook.core.pressure.detectors.running_out import RunningOut
from overbook.core.pressure.ruleset import Ruleset
from tests.core.simulated_node import GI, MI, SimulatedNode, holding, vm

FREE = {"memory_available_bytes": 200 * MI}


def watched(*pods: PodFacts, **sizes: int) -> SimulatedNode:
    """Return a node whose engine only watches, with 64 GiB of RAM."""
    node = SimulatedNode(*pods, ruleset=Ruleset(rules=()))
    node.set(memory_total_bytes=64 * GI, **sizes)
    return node


def guaranteed(uid: str, request: int = 400 * MI) -> PodFacts:
    container = ContainerFacts("compute", request, request, "NotBurstable")
    return vm(uid, request=request, allowed=0, containers=(container,))


def reading(node: SimulatedNode) -> Any:
    return RunningOut().read(node.engine.situation)


def grow(node: SimulatedNode, uid: str, mib_per_second: float, **more: Any) -> None:
    """Let the pod take memory for a second, from what is available."""
    taken = int(mib_per_second * MI)
    node.holds[uid] = holding(node.holds[uid].memory_current_bytes + taken, swap_max=None)
    node.set(memory_available_bytes=(node.node.memory_available_bytes or 0) - taken)
    node.second(**more)


def test_a_leak_fires_before_the_room_is_gone() -> None:
    node = watched(vm("leaky", request=100 * MI, allowed=0))
    node.set(memory_available_bytes=400 * MI)
    node.seconds(4)
    left = []
    while (node.node.memory_available_bytes or 0) > 9 * MI:
        grow(node, "leaky", 9)
        left.append((reading(node).holds, (node.node.memory_available_bytes or 0) / (9 * MI)))
    # As soon as less is left than the leak takes in the ten seconds that an eviction takes, and not before.
    assert [holds for holds, _ in left[3:]] == [seconds < 10 for _, seconds in left[3:]]
    assert any(holds for holds, _ in left)


def test_the_time_that_is_left_is_in_the_reading() -> None:
    node = watched(vm("leaky", request=100 * MI, allowed=0))
    node.set(memory_available_bytes=200 * MI)
    node.seconds(4)
    for _ in range(4):
        grow(node, "leaky", 20)
    assert reading(node).numbers["secondsLeft"] == 120 / 20
    assert reading(node).sentence == "120 MiB of memory and swap are left, and pods take 20.0 MiB/s"


def test_swap_that_pods_may_still_use_is_room() -> None:
    for allowed, holds in ((0, True), (100 * MI, False)):
        node = watched(vm("leaky", request=100 * MI, allowed=0), vm("cold", allowed=allowed))
        node.set(**FREE)
        node.seconds(4)
        for _ in range(4):
            grow(node, "leaky", 20)
        assert reading(node).holds is holds


def cached(node: SimulatedNode, swap: int, **sizes: int) -> float:
    """Return the room of a node whose pod has 70 MiB in the swap cache, and that much swap of 100 MiB."""
    node.holds["a"] = holding(200 * MI, swap, swap_max=100 * MI, cached=70 * MI)
    node.set(swap_cached_bytes=70 * MI, **sizes)
    node.seconds(4)
    room: float = reading(node).numbers["roomBytes"]
    return room


def test_memory_in_the_swap_cache_is_room() -> None:
    node = watched(vm("a", request=100 * MI, allowed=80 * MI), memory_available_bytes=50 * MI)
    assert cached(node, 80 * MI) == 120 * MI


def test_swap_cache_that_is_still_written_is_no_room() -> None:
    node = watched(vm("a", request=100 * MI, allowed=80 * MI), memory_available_bytes=50 * MI)
    assert cached(node, 80 * MI, writeback_bytes=30 * MI) == 90 * MI


def test_swap_cache_of_a_pod_at_its_limit_is_no_room() -> None:
    node = watched(vm("a", request=100 * MI, allowed=100 * MI), memory_available_bytes=50 * MI)
    assert cached(node, 100 * MI) == 50 * MI


def test_free_swap_that_no_pod_may_use_is_no_room() -> None:
    node = watched(vm("a", request=100 * MI, allowed=0), guaranteed("b"))
    node.set(memory_available_bytes=50 * MI)
    node.seconds(4)
    assert reading(node).numbers["roomBytes"] == 50 * MI


def test_a_burst_that_fits_its_covered_memory_never_fires() -> None:
    @given(
        st.lists(st.tuples(st.integers(50, 400), st.integers(0, 100), st.integers(0, 400)), min_size=1),
        st.integers(0, 200),
    )
    def check(pods: list[tuple[int, int, int]], spare: int) -> None:
        node = watched(
            *(
                vm(f"{n}", request=request * MI, allowed=allowed * MI)
                for n, (request, allowed, _) in enumerate(pods)
            )
        )
        missing = spare * MI
        for uid, (_, _, mib) in zip(node.holds, pods, strict=True):
            node.holds[uid] = holding(mib * MI)
        node.seconds(2)
        for uid, (request, allowed, mib) in zip(node.holds, pods, strict=True):
            covered = (request + allowed) * MI
            held = max(mib * MI, (mib * MI + covered) // 2)  # half of the way in two seconds
            node.holds[uid] = holding(held)
            missing += max(0, covered + margin_bytes(covered) - held)
        node.set(memory_available_bytes=missing, swap_free_bytes=0)
        node.seconds(2)
        beyond = any(
            model.usage_bytes > covered_bytes(node.facts[uid], model) and model.growth_bytes > 0
            for uid, model in node.engine.situation.pods_over(3).items()
        )
        assert not reading(node).holds or beyond

    check()


def test_a_guaranteed_pod_that_fills_its_request_never_fires() -> None:
    node = watched(guaranteed("paid"), vm("cold"))
    node.holds["paid"] = holding(0, swap_max=0)
    node.set(memory_available_bytes=410 * MI, swap_free_bytes=0)
    node.second()
    for _ in range(10):
        grow(node, "paid", 40)
        assert not reading(node).holds


def test_memory_that_a_guaranteed_pod_still_takes_is_no_room() -> None:
    # It takes 40 MiB a second and stops at its request; the leak beside it gets what is left.
    for paid, holds in ((0, False), (40, True)):
        node = watched(guaranteed("paid", 600 * MI), vm("leaky", request=100 * MI, allowed=0))
        node.holds["paid"] = holding(100 * MI, swap_max=0)
        node.set(memory_available_bytes=600 * MI, swap_free_bytes=0)
        node.seconds(4)
        for _ in range(4):
            grow(node, "paid", paid)
            node.holds["leaky"] = holding(node.holds["leaky"].memory_current_bytes + 10 * MI)
        assert reading(node).holds is holds


def test_growth_over_less_than_half_the_window_is_not_known() -> None:
    node = watched(vm("leaky", request=100 * MI, allowed=0))
    node.set(memory_available_bytes=20 * MI)
    node.second()
    grow(node, "leaky", 19)
    assert reading(node).numbers == {}


def test_a_node_on_which_nothing_grows_has_all_the_time() -> None:
    node = watched(vm("a", request=100 * MI))
    node.set(memory_available_bytes=0, swap_free_bytes=0)
    node.seconds(5)
    found = reading(node)
    assert not found.holds
    assert list(RunningOut().figures(found.numbers, node.engine.situation.node)) == []
