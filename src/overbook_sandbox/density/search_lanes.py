"""Runs the searches for a density in lanes, each with one node at a time.

A lane that no search has a use for runs a boot that may be needed next.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import chain, islice, zip_longest
from typing import Final

import msgspec

from overbook_sandbox.density.boots import Boot, KeptBoots
from overbook_sandbox.density.guards import BASELINE
from overbook_sandbox.density.guards.guard import Guard
from overbook_sandbox.density.loads import Load, jittered
from overbook_sandbox.density.report.most import Density, Kind, Trial
from overbook_sandbox.density.result import Cell, Setup
from overbook_sandbox.density.search import (
    MEMORY_MIB,
    bounds,
    counts_ahead,
    load_of,
    percent_of,
    steps,
    trial,
)
from overbook_sandbox.machine.errors import SandboxError

_STOP_AGAIN_SECONDS: Final = 0.5

Play = Callable[[Setup, Load, Cell | None], Cell]
Say = Callable[[str], None]


class WantedBoot(msgspec.Struct, frozen=True):
    """A boot that a search needs, or may need.

    Attributes:
        guard: the guard.
        percent: the overcommit percentage.
        count: the number of pods.
    """

    guard: type[Guard]
    percent: int
    count: int


class GuardSearch:
    """The search under one guard.

    Args:
        kind: what is counted.
        guard: the guard.
        percent: the overcommit percentage.
    """

    def __init__(self, kind: Kind, guard: type[Guard], percent: int) -> None:
        self.guard = guard
        self.percent = percent
        self.trials: dict[int, Trial] = {}
        self._bounds = bounds(kind, percent)

    def ahead(self) -> Iterator[WantedBoot]:
        """The boots that it may still need, the next one first."""
        for count in counts_ahead(*self._bounds, self._harmless()):
            yield WantedBoot(self.guard, self.percent, count)

    def result(self) -> tuple[int, tuple[Trial, ...]] | None:
        """The largest count without harm, and the trials that led to it; None: it is not over."""
        found = steps(*self._bounds, self._harmless())
        if found.next_count is not None:
            return None
        return found.most, tuple(self.trials[count] for count in found.tried)

    def _harmless(self) -> dict[int, bool]:
        return {count: one.harmless for count, one in self.trials.items()}


class Searches:
    """The searches under several guards.

    Args:
        play: plays a load.
        kind: what is counted.
        guards: the guards.
        cpus: the node's CPUs.
        seed: the seed.
        percent: the percentage under all guards with swap; None: what is usual with each.
        kept: the boots of before; it receives the others.
        say: receives a line for each boot.
    """

    def __init__(
        self,
        play: Play,
        kind: Kind,
        guards: Sequence[type[Guard]],
        cpus: int,
        seed: int,
        percent: int | None,
        kept: KeptBoots,
        say: Say,
    ) -> None:
        self._play = play
        self._kind: Kind = kind
        self._cpus = cpus
        self._seed = seed
        self._kept = kept
        self._say = say
        self._open = [GuardSearch(kind, guard, percent_of(guard, percent)) for guard in guards]
        largest = max(search.percent for search in self._open)
        self._alone = WantedBoot(BASELINE, largest, bounds(kind, largest)[1])
        self._cells: dict[WantedBoot, Cell] = {}
        self._errors: dict[WantedBoot, SandboxError] = {}
        by_name = {guard.name: guard for guard in (*guards, BASELINE)}
        for boot in kept.boots:
            same = (boot.kind, boot.cell.cpus, boot.cell.seed) == (kind, cpus, seed)
            if same and (known := by_name.get(boot.cell.guard)):
                self._cells[WantedBoot(known, boot.percent, boot.count)] = boot.cell

    def run(self, lanes: int, stop: Callable[[], None], found: Callable[[Density], None]) -> int:
        """Run all searches.

        Args:
            lanes: how many boots run at a time.
            stop: ends all that run.
            found: receives each density when it is known.

        Returns:
            How many searches failed.

        Raises:
            SandboxError: the pods alone could not run.
        """
        failed = 0
        running: dict[Future[Cell], WantedBoot] = {}
        with ThreadPoolExecutor(lanes) as pool:
            try:
                self._judge()
                while True:
                    failed += self._close_ended(found)
                    if not self._open:
                        return failed
                    for wanted in self._wanted(running.values(), lanes - len(running)):
                        running[pool.submit(self._boot, wanted)] = wanted
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self._take(running.pop(future), future)
            finally:
                # Boots that may be needed next are of no use any more.
                pool.shutdown(wait=False, cancel_futures=True)
                stop()
                begun = [future for future in running if not future.cancelled()]
                while wait(begun, timeout=_STOP_AGAIN_SECONDS).not_done:
                    stop()  # also a node that has only now begun

    def _wanted(self, running: Iterable[WantedBoot], count: int) -> Iterator[WantedBoot]:
        """The boots to begin: what each search needs next, and where lanes are left, what follows that."""
        rounds = zip_longest(*(search.ahead() for search in self._open))
        wanted = dict.fromkeys((self._alone, *(one for one in chain(*rounds) if one is not None)))
        known = {*self._cells, *self._errors, *running}
        return islice((one for one in wanted if one not in known), count)

    def _boot(self, wanted: WantedBoot) -> Cell:
        load = self._load(wanted)
        setup = Setup(load=load.name, guard=wanted.guard.name, cpus=self._cpus, seed=self._seed, run=0)
        return self._play(setup, jittered(load, self._seed), None)

    def _load(self, wanted: WantedBoot) -> Load:
        return load_of(self._kind, wanted.count, wanted.percent)

    def _take(self, wanted: WantedBoot, ended: Future[Cell]) -> None:
        try:
            cell = ended.result()
        except SandboxError as error:
            if wanted == self._alone:
                raise
            self._errors[wanted] = error
            return
        self._cells[wanted] = cell
        self._kept.add(Boot(kind=self._kind, percent=wanted.percent, count=wanted.count, cell=cell))
        self._judge()

    def _judge(self) -> None:
        """Judge the boots that are not judged yet, once the pods alone have run."""
        alone = self._cells.get(self._alone)
        if alone is None:
            return
        for search in self._open:
            for wanted, cell in self._cells.items():
                ours = (wanted.guard, wanted.percent) == (search.guard, search.percent)
                if ours and wanted.count not in search.trials:
                    made = trial(self._load(wanted), cell, alone, self._alone.count)
                    search.trials[wanted.count] = made
                    self._say(_line(self._kind, wanted, made))

    def _close_ended(self, found: Callable[[Density], None]) -> int:
        """Close the searches that are over. Returns how many failed."""
        failed = 0
        for search in tuple(self._open):
            if over := search.result():
                found(self._density(search, *over))
            elif error := self._errors.get(next(search.ahead())):
                self._say(f"{search.guard.name}: {error}")
                failed += 1
            else:
                continue
            self._open.remove(search)
        return failed

    def _density(self, search: GuardSearch, most: int, trials: tuple[Trial, ...]) -> Density:
        return Density(
            kind=self._kind,
            guard=search.guard.name,
            cpus=self._cpus,
            memory_mib=MEMORY_MIB,
            swap_mib=load_of(self._kind, 1, search.percent).swap_mib,
            percent=search.percent,
            seed=self._seed,
            most=most,
            trials=trials,
        )


def _line(kind: Kind, wanted: WantedBoot, made: Trial) -> str:
    verdict = "no harm" if made.harmless else "harm"
    said = f"{made.lost} lost, pace {made.pace_percent:.0f} %, gap {made.longest_gap_seconds:.1f} s"
    return f"{wanted.count} {kind} · {wanted.guard.name} {wanted.percent} %: {verdict} ({said})"
