"""The search for a density: how many pods of one kind a node holds without harm under a guard."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from overbook.core.overcommit.swap import node_swap_bytes
from overbook_sandbox.density.guards import BASELINE
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.loads import PERCENT, PROCESS_MIB, Load, LoadPod, Wake, jittered
from overbook_sandbox.density.report.most import Density, Kind, Trial
from overbook_sandbox.density.result import Cell, Setup
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

Play = Callable[[Setup, Load, Cell | None], Cell]


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


def search(
    likely: int, most: int, attempt: Callable[[int], Trial], boots: int = MOST_BOOTS
) -> tuple[int, list[Trial]]:
    """Find the largest count without harm: first the largest that can be, then halves.

    Args:
        likely: a count that is most likely without harm.
        most: the largest count that is tried.
        attempt: tries a count.
        boots: the number of attempts.

    Returns:
        The largest count of an attempt without harm, 0 if there was none, and all attempts.
    """
    trials: list[Trial] = []
    good, bad = 0, most + 1
    count = most
    while len(trials) < boots and bad - good > 1:
        trials.append(attempt(count))
        if trials[-1].harmless:
            good = count
        else:
            bad = count
        # As long as no count was harmless, one below the likely one counts as such.
        from_count = max(good, likely - 1) if likely < bad else good
        count = (from_count + bad) // 2
    return good, trials


class Searcher:
    """Searches densities, each count in one boot.

    Args:
        play: plays a load.
        kind: what is counted.
        cpus: the node's CPUs.
        seed: the seed.
        percent: the percentage under all guards with swap; None: what is usual with each.
    """

    def __init__(self, play: Play, kind: Kind, cpus: int, seed: int, percent: int | None = None) -> None:
        self._play = play
        self._kind: Kind = kind
        self._cpus = cpus
        self._seed = seed
        self._percent = percent
        self._alone: Cell | None = None
        self._alone_count = 0

    def measure_alone(self, guards: Sequence[type[Guard]]) -> None:
        """Measure the pace of the largest count with much memory; that is 100 %."""
        percent = max(percent_of(guard, self._percent) for guard in guards)
        _, self._alone_count = bounds(self._kind, percent)
        load = load_of(self._kind, self._alone_count, percent)
        self._alone = self._run(BASELINE, load, None)

    def density(self, guard: type[Guard], say: Callable[[str], None]) -> Density:
        """Search the density under a guard.

        Args:
            guard: the guard.
            say: receives a line for each boot.

        Raises:
            SandboxError: a node failed.
        """
        percent = percent_of(guard, self._percent)
        likely, most = bounds(self._kind, percent)

        def attempt(count: int) -> Trial:
            made = trial(
                count, self._run(guard, load_of(self._kind, count, percent), self._alone), self._share
            )
            verdict = "no harm" if made.harmless else "harm"
            said = f"{made.lost} lost, pace {made.pace_percent:.0f} %, gap {made.longest_gap_seconds:.1f} s"
            say(f"{count} {self._kind} · {guard.name} {percent} %: {verdict} ({said})")
            return made

        found, trials = search(likely, most, attempt)
        return Density(
            kind=self._kind,
            guard=guard.name,
            cpus=self._cpus,
            memory_mib=MEMORY_MIB,
            swap_mib=load_of(self._kind, 1, percent).swap_mib,
            percent=percent,
            seed=self._seed,
            most=found,
            trials=tuple(trials),
        )

    def _share(self, count: int) -> float:
        """What a count of pods finishes alone, as a share of what the measured count does."""
        return count / self._alone_count if self._alone_count else 1.0

    def _run(self, guard: type[Guard], load: Load, alone: Cell | None) -> Cell:
        setup = Setup(load=load.name, guard=guard.name, cpus=self._cpus, seed=self._seed, run=0)
        return self._play(setup, jittered(load, self._seed), alone)


def trial(count: int, cell: Cell, share: Callable[[int], float]) -> Trial:
    """Judge a boot.

    Args:
        count: the number of pods.
        cell: the boot's result, whose pace is that of this count beside another one alone.
        share: the share of that other count's work that this count would finish alone.
    """
    pace = round((cell.pace_percent or 0.0) / share(count), 1)
    lost = len(cell.left)
    return Trial(
        count=count,
        harmless=not lost and not cell.kernel_kills and pace >= PACE_PERCENT,
        pace_percent=pace,
        lost=lost,
        kernel_kills=cell.kernel_kills,
        longest_gap_seconds=cell.longest_gap_seconds,
    )
