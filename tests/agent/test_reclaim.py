"""The reclaimer writes small slices, stops in time, and says what became of them."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from overbook.agent.reclaim import SLICE_BYTES, CgroupReclaimer, ReportingReclaimer
from overbook.core.pressure.decision import ReclaimStep
from overbook.kernel.files import KernelFileError, MissingKernelFile

MI = 1 << 20


class FakeContainer:
    """A container of which the kernel can swap out so much, at some speed."""

    def __init__(self, clock: "Clock", cold: int, swap_max: int | None = None) -> None:
        self.cgroup = self
        self.clock = clock
        self.cold = cold
        self.swap = 5 * MI
        self.swap_max = swap_max
        self.slices: list[int] = []
        self.protected_bytes: int | None = None
        self.error: KernelFileError | None = None
        self.closed = 0
        self.blocked = threading.Event()
        self.blocked.set()

    def read_memory_swap_max(self) -> int | None:
        return self.swap_max

    def read_memory_current(self) -> int:
        return self.cold

    def read_memory_swap_current(self) -> int:
        return self.swap

    def reclaim(self, size: int) -> bool:
        if self.error is not None:
            raise self.error
        self.slices.append(size)
        assert self.blocked.wait(10)
        self.clock.now += 0.021
        self.clock.cpu += 0.005
        part = min(size, self.cold)
        self.cold -= part
        self.swap += part
        return part == size

    def exists(self) -> bool:
        return True

    def again(self) -> "FakeContainer":
        return self

    def close(self) -> None:
        self.closed += 1


class Clock:
    """Seconds that pass where a container is reclaimed."""

    def __init__(self) -> None:
        self.now = self.cpu = 100.0


def reclaimer(clock: Clock, **pods: list[FakeContainer]) -> CgroupReclaimer:
    held = {uid: {str(n): each for n, each in enumerate(containers)} for uid, containers in pods.items()}
    collector: Any = SimpleNamespace(containers=held, reads_protection=True)
    return CgroupReclaimer(collector, lambda: clock.now, lambda: clock.cpu)


def step(uid: str, size: int) -> ReclaimStep:
    return ReclaimStep(uid, f"demo/{uid}", size)


def test_protected_memory_of_a_container_stays() -> None:
    clock = Clock()
    kept, partly = FakeContainer(clock, 50 * MI), FakeContainer(clock, 50 * MI)
    kept.protected_bytes, partly.protected_bytes = 64 * MI, 44 * MI
    (done,) = reclaimer(clock, a=[kept, partly]).reclaim([step("a", 20 * MI)])
    assert kept.slices == []
    assert partly.slices == [SLICE_BYTES, 2 * MI]
    assert done.swapped_bytes == 6 * MI


def test_reclaim_returns_how_much_of_each_pod_went_out() -> None:
    clock = Clock()
    first, second = FakeContainer(clock, 100 * MI), FakeContainer(clock, 3 * MI)
    done = reclaimer(clock, a=[first], b=[second]).reclaim([step("a", 10 * MI), step("b", 8 * MI)])
    assert [(each.uid, each.asked_bytes, each.swapped_bytes) for each in done] == [
        ("a", 10 * MI, 10 * MI),
        ("b", 0, 3 * MI),  # the kernel refused the slice, but some of it went out
    ]
    assert [each.seconds for each in done] == pytest.approx([0.063, 0.021])
    assert [each.cpu_seconds for each in done] == pytest.approx([0.015, 0.005])
    assert first.slices == [SLICE_BYTES, SLICE_BYTES, 2 * MI]


def test_the_next_container_is_asked_for_what_the_first_lacked() -> None:
    clock = Clock()
    first, second = FakeContainer(clock, 4 * MI), FakeContainer(clock, 100 * MI)
    done = reclaimer(clock, a=[first, second]).reclaim([step("a", 8 * MI)])
    assert done[0].swapped_bytes == 8 * MI
    assert second.slices == [SLICE_BYTES]


@pytest.mark.parametrize(("hurry", "slices"), [(True, 12), (False, 5)])
def test_reclaim_ends_in_time_and_sooner_without_hurry(hurry: bool, slices: int) -> None:
    clock = Clock()
    large, other = FakeContainer(clock, 10**12), FakeContainer(clock, 10**12)
    done = reclaimer(clock, a=[large], b=[other]).reclaim([step("a", 10**9), step("b", MI)], hurry=hurry)
    assert len(large.slices) == slices
    assert [each.uid for each in done] == ["a"]
    assert done[0].asked_bytes == done[0].swapped_bytes == slices * SLICE_BYTES


def test_a_container_that_may_not_swap_is_not_reclaimed() -> None:
    clock = Clock()
    paid = FakeContainer(clock, 100 * MI, swap_max=0)
    done = reclaimer(clock, a=[paid]).reclaim([step("a", MI)])
    assert paid.slices == []
    assert (done[0].asked_bytes, done[0].swapped_bytes) == (0, 0)


def test_a_kernel_without_reclaim_is_asked_once(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    old = FakeContainer(clock, 100 * MI)
    old.error = MissingKernelFile("memory.reclaim", "is missing")
    there = reclaimer(clock, a=[old], b=[FakeContainer(clock, MI)])
    with caplog.at_level(logging.WARNING):
        assert there.reclaim([step("a", MI), step("b", MI)])[0].swapped_bytes == 0
        assert there.reclaim([step("a", MI)]) == ()
    assert not there.supported
    assert len(caplog.messages) == 1


def test_a_disk_that_stands_still_does_not_hold_the_tick() -> None:
    clock = Clock()
    stuck = FakeContainer(clock, 100 * MI)
    stuck.blocked.clear()
    there = reclaimer(clock, a=[stuck])
    begun = time.monotonic()
    assert there.reclaim([step("a", MI)], hurry=False) == ()
    assert there.reclaim([step("a", MI)]) == ()
    assert time.monotonic() - begun < 5
    assert len(stuck.slices) == 1
    stuck.blocked.set()
    deadline = time.monotonic() + 10
    while not (done := there.reclaim(())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [each.swapped_bytes for each in done] == [MI]
    assert stuck.closed == 1


def test_an_unknown_pod_is_passed_over() -> None:
    done = reclaimer(Clock()).reclaim([step("gone", MI)])
    assert (done[0].asked_bytes, done[0].swapped_bytes) == (0, 0)


def test_an_observing_agent_reclaims_nothing() -> None:
    assert ReportingReclaimer().reclaim([step("a", MI)]) == ()
