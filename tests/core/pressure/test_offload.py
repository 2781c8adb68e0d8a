"""Offload swaps out cold memory ahead of need, and stops where it is missed."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.facts import ContainerFacts
from overbook.core.pressure.decision import ReclaimStep
from overbook.core.pressure.offload import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    VAIN_STEPS,
    Offload,
    OffloadPolicy,
    Reclaimed,
)
from overbook.core.pressure.ruleset import Ruleset
from tests.core.simulated_node import GI, MI, SimulatedNode, holding, vm


class OffloadedNode(SimulatedNode):
    """A node without rules, with 100 MiB available of 1 GiB, and one plan of offload a second."""

    def __init__(self, *pods: Any, **policy: Any) -> None:
        super().__init__(*pods, ruleset=Ruleset(rules=()))
        self.set(memory_available_bytes=100 * MI)
        self.offload = Offload(OffloadPolicy(**policy))
        self.second()

    def plan(self, seconds: float = 1.0, **more: Any) -> tuple[ReclaimStep, ...]:
        """Let time pass and return what is to be swapped out."""
        self.second(seconds, **more)
        return self.offload.plan(self.engine.situation)

    def done(self, *steps: Reclaimed) -> None:
        """Report what became of steps."""
        self.offload.done(steps, self.engine.situation)


def swapped(
    uid: str = "a", size: int = MI, *, seconds: float = 0.01, cpu_seconds: float = 0.001
) -> Reclaimed:
    return Reclaimed(uid, size, size, seconds, cpu_seconds)


def uids(steps: Sequence[ReclaimStep]) -> set[str]:
    return {step.uid for step in steps}


def test_offload_begins_where_less_than_the_reserve_is_available() -> None:
    node = OffloadedNode(vm("a"))
    for available, planned in ((GI // 5 + MI, False), (GI // 5 - MI, True), (None, False)):
        node.set(memory_available_bytes=available)
        assert bool(node.plan()) is planned
    node.set(memory_available_bytes=GI // 5 - MI)
    assert sum(step.wanted_bytes for step in node.plan()) <= MI  # no more than is missing


def test_offload_is_slow() -> None:
    node = OffloadedNode(*(vm(f"{n}") for n in range(9)))
    steps = node.plan()
    assert sum(step.wanted_bytes for step in steps) <= GI // 100
    assert all(step.wanted_bytes <= 3 * MI for step in steps)
    # A tick that a stall brought forward does not hasten it.
    assert sum(step.wanted_bytes for step in node.plan(0.1)) <= GI // 1000


def test_offload_leaves_out_pods_that_may_not_swap() -> None:
    guaranteed = ContainerFacts("compute", 200 * MI, 200 * MI, "NotBurstable")
    node = OffloadedNode(vm("paid", allowed=0, containers=(guaranteed,)), vm("a"))
    node.holds["paid"] = holding(300 * MI, swap_max=None)
    assert uids(node.plan()) == {"a"}


def test_offload_never_goes_above_an_allowance() -> None:
    pods = st.tuples(st.integers(0, 60), st.integers(0, 40))

    @given(st.lists(pods, min_size=1, max_size=5), st.integers(0, 100))
    def check(drawn: list[tuple[int, int]], free: int) -> None:
        node = OffloadedNode(*(vm(f"{n}", allowed=allowed * MI) for n, (allowed, _) in enumerate(drawn)))
        node.set(swap_free_bytes=free * MI)
        swap = {f"{n}": used * MI for n, (_, used) in enumerate(drawn)}
        for _ in range(30):
            node.holds = {uid: holding(300 * MI, swap=used) for uid, used in swap.items()}
            steps = node.plan()
            for step in steps:
                swap[step.uid] += step.wanted_bytes
            left = (node.node.swap_free_bytes or 0) - sum(step.wanted_bytes for step in steps)
            assert left >= 0
            node.set(swap_free_bytes=left)
        for number, (allowed, used) in enumerate(drawn):
            assert swap[f"{number}"] <= max(allowed, used) * MI

    check()


def test_offload_leaves_out_the_pod_that_is_leaving() -> None:
    node = OffloadedNode(vm("a"), vm("b"))
    node.second()
    assert uids(node.offload.plan(node.engine.situation, {"a"})) == {"b"}


def hold(node: OffloadedNode, uid: str, *, refaults: int) -> None:
    node.holds[uid] = holding(300 * MI, swap=10 * MI, refaults=refaults)


def test_a_pod_whose_memory_comes_back_is_left_alone_ever_longer() -> None:
    node = OffloadedNode(vm("a"), vm("b"))
    node.plan()
    node.done(swapped("a", 50 * MI))
    pauses: list[float] = []
    for second in range(200):
        hold(node, "a", refaults=400 * second)
        if "a" in uids(node.plan()):
            node.done(swapped("a", 50 * MI))
        pause = node.offload._pauses.get("a")
        if pause and (not pauses or pause.seconds != pauses[-1]):
            pauses.append(pause.seconds)
    assert pauses[:5] == [FIRST_PAUSE_SECONDS * 2**number for number in range(5)]
    assert pauses[-1] <= LONGEST_PAUSE_SECONDS


def test_a_pod_of_which_nothing_was_swapped_out_is_not_paused() -> None:
    node = OffloadedNode(vm("a"), vm("b"))
    for second in range(1, 5):
        hold(node, "a", refaults=400 * second)
        assert uids(node.plan()) == {"b"}  # it is hot
    hold(node, "a", refaults=1600)
    for _ in range(12):
        steps = node.plan()
    assert "a" in uids(steps)


@pytest.mark.parametrize(
    ("stall", "refaults", "paused"), [(0.002, 3, True), (0.0005, 3, False), (0.5, 0, False)]
)
def test_offload_stops_at_a_stall_on_what_came_back(stall: float, refaults: int, paused: bool) -> None:
    node = OffloadedNode(vm("a"), vm("b"))
    node.plan()
    node.done(swapped("a"))
    for second in range(1, 12):
        hold(node, "a", refaults=refaults * second)
        steps = node.plan(pod_stalls={"a": stall})
    assert ("a" not in uids(steps)) is paused
    assert "b" in uids(steps)


def test_offload_goes_on_after_a_pause() -> None:
    node = OffloadedNode(vm("a"))
    node.plan()
    node.done(swapped("a"))
    hold(node, "a", refaults=2000)
    assert node.plan() == ()
    passed = next(second for second in range(1, 60) if node.plan())
    # The refaults of the rank's window show whether memory is cold.
    assert FIRST_PAUSE_SECONDS <= passed <= node.engine.ruleset.rank_window_seconds


def test_offload_stops_when_its_cpu_time_is_used_up() -> None:
    node = OffloadedNode(vm("a"), cpu_percent=1.0)
    assert node.plan()
    node.done(swapped(cpu_seconds=6.5))  # saved up for 600 s: 6 s
    assert node.plan() == ()
    passed = next(second for second in range(1, 200) if node.plan())
    assert 48 <= passed <= 52


def test_offload_stops_at_the_days_writes() -> None:
    node = OffloadedNode(vm("a"), daily_write_bytes=864 * MI)
    assert node.plan()
    node.done(swapped(size=864 * MI))
    steps = node.plan()
    # A hundredth of a MiB comes in each second; what was written counts, whichever pod it was.
    assert 0 < sum(step.wanted_bytes for step in steps) <= 864 * MI * 2 / 86_400
    node.done(swapped(size=8 * MI))
    assert node.plan() == ()
    assert node.plan(700.0) == ()
    assert node.plan(200.0)


def test_the_days_writes_are_four_times_the_nodes_swap() -> None:
    node = OffloadedNode(vm("a"))
    node.plan()
    node.done(swapped(size=4 * 512 * MI - 4096))
    assert node.plan()
    node.done(swapped(size=100 * MI))
    assert node.plan() == ()


def test_a_slow_swap_disk_pauses_offload_ever_longer() -> None:
    node = OffloadedNode(vm("a"))
    pauses = []
    for _ in range(3):
        assert node.plan()
        node.done(swapped(seconds=0.6))
        pauses.append(next(second for second in range(1, 100) if node.plan()))
    assert pauses == [FIRST_PAUSE_SECONDS * times for times in (1, 2, 4)]


def test_after_a_calm_minute_a_pause_is_short_again() -> None:
    node = OffloadedNode(vm("a"))
    pauses = []
    for _ in range(2):
        assert node.plan()
        node.done(swapped(seconds=0.6))
        pauses.append(next(second for second in range(1, 100) if node.plan()))
        node.seconds(90)
    assert pauses == [FIRST_PAUSE_SECONDS] * 2


def bought(node: OffloadedNode) -> float:
    node.second()
    return node.offload.bought_bytes(node.engine.situation) / MI


def test_memory_is_bought_until_it_comes_back() -> None:
    node = OffloadedNode(vm("a"))
    hold(node, "a", refaults=100)
    node.plan()
    node.done(swapped(size=8 * MI))
    assert bought(node) == 8
    hold(node, "a", refaults=100 + 4 * MI // 4096)
    assert bought(node) == 4
    hold(node, "a", refaults=100 + 8 * MI // 4096)
    assert bought(node) == 0
    node.done(swapped(size=2 * MI))
    assert bought(node) == 2


def test_memory_that_is_not_in_swap_only_is_not_bought() -> None:
    node = OffloadedNode(vm("a"))
    node.plan()
    node.done(swapped(size=8 * MI))
    node.holds["a"] = holding(300 * MI, swap=5 * MI, cached=2 * MI)
    assert bought(node) == 3
    node.holds.clear()
    assert bought(node) == 0


def test_offload_plans_as_ever_when_observed_and_never_when_off() -> None:
    assert OffloadedNode(vm("a"), mode="Off").plan() == ()
    assert OffloadedNode(vm("a"), mode="Observe").plan() == OffloadedNode(vm("a"), mode="On").plan() != ()


def test_offload_rests_while_a_decision_swaps_out() -> None:
    node = SimulatedNode(vm("a", request=400 * MI), offload=OffloadPolicy())
    node.starve()
    node.seconds(5)
    assert node.engine.offload_steps
    decision = node.second(stall=0.9)
    assert decision is not None
    assert decision.action == "reclaim"
    assert node.engine.offload_steps == ()


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"reserve_percent": 101.0}, "offload.reservePercent"),
        ({"stall_percent": -1.0}, "offload.stallPercent"),
        ({"cpu_percent": float("nan")}, "offload.cpuPercent"),
        ({"daily_write_bytes": -1}, "offload.dailyWriteBytes"),
    ],
)
def test_a_setting_of_offload_out_of_range_is_refused(policy: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        OffloadPolicy(**policy).check()
    assert refused.value.where == field


def test_a_pod_of_which_nothing_goes_out_is_left_alone() -> None:
    node = SimulatedNode(vm("a"), vm("b"), offload=OffloadPolicy())
    node.set(memory_available_bytes=100 * MI)
    pushed = []
    for _ in range(12):
        node.second()
        pushed += [step.uid for step in node.engine.offload_steps if step.uid == "a"]
        node.engine.offload.done(
            [
                Reclaimed(step.uid, 0, 0 if step.uid == "a" else MI, 0.01, 0.001)
                for step in node.engine.offload_steps
            ],
            node.engine.situation,
        )
    assert VAIN_STEPS <= len(pushed) <= VAIN_STEPS + 3
