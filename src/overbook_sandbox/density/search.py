"""The search for a density: how many pods of one kind a node holds without harm under a guard."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from overbook.core.overcommit.swap import node_swap_bytes
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.judge import pace_percent
from overbook_sandbox.density.loads import PERCENT, PROCESS_MIB, Load, LoadPod, Wake
from overbook_sandbox.density.report.most import Kind, Trial
from overbook_sandbox.density.result import Cell
from overbook_sandbox.machine.spec import MEBIBYTE

MOST_BOOTS: Final = 5
PACE_PERCENT: Final = 90.0
"""The least pace of pods that are not harmed."""
MEMORY_MIB: Final = 1024
RESERVED_MIB: Final = 96
"""What the node keeps for itself: the scheduler gives pods the rest."""
GUARDS: Final = ("no-swap", "limited", "earlyoom", "original", "overbook")
OURS_PERCENT: Final = 200
"""The percentage of a node with Overbook; 150 is that of the documented set-up."""

_GUEST_MIB: Final = 72.0
_GUEST_HOT_MIB: Final = 8.0
_SANDBOX_MIB: Final = 40.0
_SANDBOX_HOT_MIB: Final = 2.0
_SANDBOX_REQUEST_MIB: Final = 11.0
"""A quarter of what a sandbox holds: its owner pays for it while it is idle."""
_SANDBOX_LIMIT_MIB: Final = 48.0
_LIKELY_SHARE: Final = 0.75
_AWAKE_SECONDS: Final = 5.0
_EVERY_SECONDS: Final = 40.0
_EVENT_SECONDS: Final[dict[Kind, float]] = {"vms": 15.0, "sandboxes": _EVERY_SECONDS}
_FILL_MIB_PER_SECOND: Final = 120.0


def percent_of(guard: type[Guard], chosen: int | None = None) -> int:
    """The overcommit percentage of a node under a guard: the chosen one, or what is usual with it."""
    if not guard.swap:
        return 100
    return chosen or (OURS_PERCENT if guard.name == "overbook" else PERCENT)


def load_of(kind: Kind, count: int, percent: int) -> Load:
    """A load of equal pods, none of which causes a shortage.

    Args:
        kind: what the pods are.
        count: how many.
        percent: the overcommit percentage, from which the swap and the requests of VMs follow.
    """
    swap_bytes = node_swap_bytes(MEMORY_MIB * MEBIBYTE, percent) if percent > 100 else 0
    return Load(
        name=f"{kind}-{count}",
        title=f"{count} {kind}",
        about="",
        pods=tuple(_pod(kind, number, count, percent) for number in range(count)),
        event_seconds=_EVENT_SECONDS[kind],
        memory_mib=MEMORY_MIB,
        swap_mib=math.ceil(swap_bytes / MEBIBYTE),
        percent=percent,
        # What a sandbox may need beyond its request shows in its limit, not in its share of the requests.
        allowance="pooled" if kind == "sandboxes" else "proportional",
        fill_mib_per_second=_FILL_MIB_PER_SECOND,
    )


def _pod(kind: Kind, number: int, count: int, percent: int) -> LoadPod:
    if kind == "vms":
        return LoadPod(
            name=f"vm-{number + 1}",
            shape="VM",
            request_mib=_GUEST_MIB * 100 / percent + PROCESS_MIB,
            overhead_mib=PROCESS_MIB,
            hot_mib=_GUEST_HOT_MIB,
            cold_mib=_GUEST_MIB - _GUEST_HOT_MIB,
        )
    # They wake one after the other, so that some are awake at any time.
    wake = Wake(
        after_seconds=number * _EVERY_SECONDS / count, seconds=_AWAKE_SECONDS, every_seconds=_EVERY_SECONDS
    )
    return LoadPod(
        name=f"sandbox-{number + 1}",
        shape="Sandbox",
        request_mib=_SANDBOX_REQUEST_MIB,
        limit_mib=_SANDBOX_LIMIT_MIB,
        hot_mib=_SANDBOX_HOT_MIB,
        cold_mib=_SANDBOX_MIB - _SANDBOX_HOT_MIB,
        idle=True,
        acts=(wake,),
    )


def bounds(kind: Kind, percent: int) -> tuple[int, int]:
    """How many pods fit well into RAM alone, and how many the scheduler and RAM with swap allow at most."""
    load = load_of(kind, 1, percent)
    (pod,) = load.pods
    room_mib = MEMORY_MIB - RESERVED_MIB
    by_requests = int(room_mib / pod.request_mib)
    by_memory = int((room_mib + load.swap_mib) / pod.held_mib)
    most = min(by_requests, by_memory)
    return min(most, int(_LIKELY_SHARE * room_mib / pod.held_mib)), most


class Steps(NamedTuple):
    """How far a search has come.

    Attributes:
        tried: the counts that it has tried, in their order.
        most: the largest of them without harm; 0: none.
        next_count: the count that it tries next; None: it is over.
    """

    tried: tuple[int, ...]
    most: int
    next_count: int | None


def steps(likely: int, most: int, harmless: Mapping[int, bool], boots: int = MOST_BOOTS) -> Steps:
    """Search the largest count without harm: first the largest that can be, then halves.

    Args:
        likely: a count that is most likely without harm.
        most: the largest count that is tried.
        harmless: whether a count did no harm, for all that are known; also such as this search does not try.
        boots: the most counts that are tried.
    """
    tried: list[int] = []
    good, bad = 0, most + 1
    count = most
    while len(tried) < boots and bad - good > 1:
        if count not in harmless:
            return Steps(tuple(tried), good, count)
        tried.append(count)
        if harmless[count]:
            good = count
        else:
            bad = count
        # As long as no count was harmless, one below the likely one counts as such.
        from_count = max(good, likely - 1) if likely < bad else good
        count = (from_count + bad) // 2
    return Steps(tuple(tried), good, None)


def counts_ahead(
    likely: int, most: int, harmless: Mapping[int, bool], boots: int = MOST_BOOTS
) -> Iterator[int]:
    """The counts that a search may still try: the next one, then those that follow it, the soonest first.

    The arguments are those of `steps`.
    """
    guesses = deque([dict(harmless)])
    while guesses:
        guess = guesses.popleft()
        count = steps(likely, most, guess, boots).next_count
        if count is not None:
            yield count
            guesses += ({**guess, count: False}, {**guess, count: True})


def trial(load: Load, cell: Cell, alone: Cell, alone_count: int) -> Trial:
    """Judge a boot.

    Args:
        load: its load.
        cell: its result.
        alone: the result of a number of the same pods alone.
        alone_count: that number.
    """
    count, lost = len(load.pods), len(cell.left)
    paced = pace_percent(load, cell.curve, cell.seconds, lost, alone) or 0.0
    pace = round(paced * alone_count / count, 1)
    return Trial(
        count=count,
        harmless=not lost and not cell.kernel_kills and pace >= PACE_PERCENT,
        pace_percent=pace,
        lost=lost,
        kernel_kills=cell.kernel_kills,
        longest_gap_seconds=cell.longest_gap_seconds,
    )
