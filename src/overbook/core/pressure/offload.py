"""Offload: cold memory is swapped out ahead of need, so that a reserve of memory stays available.

A node that has to find memory in a hurry makes whoever needs it wait. Slow reclaim ahead of need finds the
same cold pages while nobody waits. The idea is that of Meta's TMO (Weiner et al., ASPLOS 2022): reclaim a
little, watch the stall that it causes, and stop at about 0.1 %.

Per pod: what comes back, and a stall on what comes back, stop the pod's offload for a while, each time for
longer. Per node: bytes a second, CPU time, and bytes a day, for the endurance of an SSD.
"""

from collections.abc import Collection, Iterable
from typing import Final, Literal

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.pressure.cold import (
    COLD_REFAULTS_PER_SECOND,
    RECENT_SECONDS,
    coldest_steps,
    is_behind,
    room_bytes,
)
from overbook.core.pressure.decision import ReclaimStep
from overbook.core.pressure.model import PodModel
from overbook.core.pressure.situation import Situation

OffloadMode = Literal["Off", "Observe", "On"]

MOST_BYTES_PER_SECOND: Final = 64 * 2**20
NODE_PERCENT_PER_SECOND: Final = 1.0
"""The share of RAM that is swapped out in a second at most."""
FIRST_BYTES: Final = 128 * 2**10
"""The first step of a pod: the least that the kernel reclaims at a time. The kernel looks which pages are in
use when it reclaims, and knows only the next time which were not used in between: the first pages may be hot.
Each step that is not missed is followed by one of twice the size."""
POD_SHARE: Final = 0.01
POD_BYTES: Final = 4 * 2**20
"""The most of one pod in a second: a share of its memory, but not less than this: refaults show in time."""
OVERSHOT: Final = 4
"""Where so many times more goes out than the kernel was asked for, the swap disk is behind."""
SLOW_SECONDS: Final = 0.5
"""A step that takes longer waits for a swap disk that has no speed to spare."""
FIRST_PAUSE_SECONDS: Final = 2.0
LONGEST_PAUSE_SECONDS: Final = 300.0
CALM_SECONDS: Final = 60.0
"""After so long without a reason for a pause, the next pause is the first one again."""
VAIN_STEPS: Final = 3
"""A pod of which so many steps in a row swapped nothing out is left alone for a while: a limit that is not
known here may keep it, or all that is left of it is in use."""
DAY_SECONDS: Final = 86_400.0
CPU_SAVED_SECONDS: Final = 600.0
"""CPU time that was not used is saved up for so long, and writes for a day: a node that fills needs them."""


class OffloadPolicy(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", forbid_unknown_fields=True
):
    """How cold memory is swapped out ahead of need.

    Attributes:
        mode: ``Off``; ``Observe`` only counts what would be swapped out; ``On``.
        reserve_percent: the share of RAM that is to be available.
        stall_percent: the share of time that a pod may stall on memory that came back.
        cpu_percent: the share of one CPU that offload may use on average.
        daily_write_bytes: the most that is written to swap in a day; ``None``: four times the node's swap.
    """

    mode: OffloadMode = "On"
    reserve_percent: float = 20.0
    stall_percent: float = 0.1
    cpu_percent: float = 1.0
    daily_write_bytes: int | None = None

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInput: a percentage or a size out of range.
        """
        for field, percent in (
            ("reservePercent", self.reserve_percent),
            ("stallPercent", self.stall_percent),
            ("cpuPercent", self.cpu_percent),
        ):
            if not 0 <= percent <= 100:
                raise InvalidInput(f"offload.{field}", percent, "a number from 0 to 100")
        if self.daily_write_bytes is not None and self.daily_write_bytes < 0:
            raise InvalidInput("offload.dailyWriteBytes", self.daily_write_bytes, "0 bytes or more")


class Budget:
    """What may be used: it comes in steadily, and is saved up for a while. At first all of that is there.

    Args:
        saved_seconds: for how long it is saved up.
    """

    def __init__(self, saved_seconds: float) -> None:
        self._saved_seconds = saved_seconds
        self._saved: float | None = None
        self._at = 0.0

    def left(self, per_second: float, now: float) -> float:
        """Return what may be used now."""
        most = per_second * self._saved_seconds
        if self._saved is None:
            self._saved = most
        else:
            self._saved = min(most, self._saved + per_second * max(0.0, now - self._at))
        self._at = now
        return max(0.0, self._saved)

    def use(self, amount: float) -> None:
        """Take what was used; more than was left is paid back first."""
        if self._saved is not None:
            self._saved -= amount


class Pause(msgspec.Struct):
    """A time in which nothing is swapped out. One that follows soon is twice as long as the one before."""

    until: float = 0.0
    seconds: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether the pause lasts."""
        return now < self.until

    def begin(self, now: float) -> None:
        """Begin a pause, unless one lasts."""
        if now < self.until:
            return
        longer = now - self.until <= CALM_SECONDS and self.seconds > 0
        self.seconds = min(LONGEST_PAUSE_SECONDS, 2 * self.seconds) if longer else FIRST_PAUSE_SECONDS
        self.until = now + self.seconds


class Reclaimed(msgspec.Struct, frozen=True, gc=False):
    """What became of a step.

    Attributes:
        uid: the pod's UID.
        asked_bytes: how much the kernel was asked to reclaim.
        swapped_bytes: how much the pod's swap grew.
        seconds: how long it took.
        cpu_seconds: the CPU time that it took.
    """

    uid: str
    asked_bytes: int
    swapped_bytes: int
    seconds: float
    cpu_seconds: float


class Offload:
    """Plans the offload of one node.

    Args:
        policy: the policy.
    """

    def __init__(self, policy: OffloadPolicy) -> None:
        self.policy = policy
        self._cpu = Budget(CPU_SAVED_SECONDS)
        self._writes = Budget(DAY_SECONDS)
        self._pauses: dict[str, Pause] = {}
        self._steps: dict[str, int] = {}
        self._vain: dict[str, int] = {}
        self._pause = Pause()
        self._given: dict[str, tuple[int, int]] = {}
        self._last: float | None = None

    def plan(self, seen: Situation, without: Collection[str] = ()) -> tuple[ReclaimStep, ...]:
        """Return what is to be swapped out in this tick.

        Args:
            seen: the node and its pods.
            without: UIDs of pods that are left alone, because they are leaving.
        """
        now = seen.now
        elapsed = min(1.0, max(0.0, now - self._last)) if self._last is not None else 1.0
        self._last = now
        total, missing = seen.node.memory_total_bytes, self.missing_bytes(seen)
        if self.policy.mode == "Off" or missing <= 0 or self._pause.holds(now) or is_behind(seen):
            return ()
        daily = self.policy.daily_write_bytes
        writes = self._writes.left(
            (4 * seen.whole_node.swap_total_bytes if daily is None else daily) / DAY_SECONDS, now
        )
        if self._cpu.left(self.policy.cpu_percent / 100, now) <= 0:
            return ()
        most = min(MOST_BYTES_PER_SECOND, int(total * NODE_PERCENT_PER_SECOND / 100)) * elapsed
        wanted = int(min(missing, most, writes, room_bytes(seen)))
        if wanted < seen.node.page_bytes:
            return ()
        return coldest_steps(seen, wanted, self._step_bytes, {*without, *self.paused(seen)})

    def missing_bytes(self, seen: Situation) -> int:
        """Return what is missing from the reserve; 0: nothing is, or the available memory is not known."""
        node = seen.node
        if node.memory_available_bytes is None:
            return 0
        reserve = int(node.memory_total_bytes * self.policy.reserve_percent / 100)
        return max(0, reserve - node.memory_available_bytes)

    def done(self, done: Iterable[Reclaimed], seen: Situation) -> None:
        """Note what became of the steps."""
        for step in done:
            self._cpu.use(step.cpu_seconds)
            self._writes.use(step.swapped_bytes)
            overshot = step.swapped_bytes > OVERSHOT * max(step.asked_bytes, FIRST_BYTES)
            if step.seconds > SLOW_SECONDS or overshot:
                self._pause.begin(seen.now)
            model = seen.all_pods.get(step.uid)
            if model is not None:
                given, since = self._given.get(step.uid, (0, model.refaults_total))
                self._given[step.uid] = (given + step.swapped_bytes, since)
                self._note_vain(step, seen.now)
                last = self._steps.get(step.uid, FIRST_BYTES)
                self._steps[step.uid] = FIRST_BYTES if overshot else min(2**40, 2 * last)

    def _note_vain(self, step: Reclaimed, now: float) -> None:
        """Count the steps that swapped nothing out, and begin a pause where there were too many."""
        vain = self._vain[step.uid] = 0 if step.swapped_bytes > 0 else self._vain.get(step.uid, 0) + 1
        if vain >= VAIN_STEPS:
            self._pauses.setdefault(step.uid, Pause()).begin(now)

    def bought_bytes(self, seen: Situation) -> int:
        """Return how much RAM offload has bought: what it swapped out and has not come back."""
        bought = 0
        for uid in tuple(self._given):
            model = seen.all_pods.get(uid)
            if model is None:
                del self._given[uid]
                continue
            given, since = self._given[uid]
            back = max(0, model.refaults_total - since) * seen.node.page_bytes
            if back >= given:
                del self._given[uid]
                continue
            bought += min(given - back, model.swap_bytes - model.swap_cached_bytes)
        return bought

    def _step_bytes(self, model: PodModel) -> int:
        """Return the most of one pod in this tick."""
        most = max(POD_BYTES, int(model.swappable_bytes * POD_SHARE))
        return min(most, self._steps.get(model.uid, FIRST_BYTES))

    def paused(self, seen: Situation) -> set[str]:
        """Return the pods that are left alone for now, and begin the pauses that are due."""
        now = seen.now
        for of_pods in (self._pauses, self._steps, self._vain):
            for uid in of_pods.keys() - seen.all_pods.keys():
                del of_pods[uid]
        for uid, model in seen.pods_over(RECENT_SECONDS).items():
            if uid in self._given and self._suffers(model):
                self._pauses.setdefault(uid, Pause()).begin(now)
                self._steps[uid] = FIRST_BYTES
        return {uid for uid, pause in self._pauses.items() if pause.holds(now)}

    def _suffers(self, model: PodModel) -> bool:
        """Whether what was swapped out of a pod is missed: it comes back, or the pod stalls on it."""
        if model.refaults_per_second > COLD_REFAULTS_PER_SECOND:
            return True
        # A stall without refaults is no consequence of what was swapped out.
        stall = model.stall_percent
        return model.refaults > 0 and stall is not None and stall > self.policy.stall_percent
