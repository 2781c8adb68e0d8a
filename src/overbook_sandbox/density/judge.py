"""How a cell's result follows from what the node sent."""

from collections.abc import Iterable, Sequence
from typing import Final

from overbook_sandbox.density.loads import Load
from overbook_sandbox.density.result import CURVE_SECONDS, Cell, Leaving, Setup
from overbook_sandbox.density.trace import End, Left, TracePoint

HARM_GAP_SECONDS: Final = 0.5
HARM_SOME_PERCENT: Final = 20.0
"""An innocent pod is harmed when it stands still for longer, or stalls for more of its time."""


def cell(
    setup: Setup,
    load: Load,
    points: Sequence[TracePoint],
    left: Iterable[Left],
    end: End,
    alone: Cell | None,
    wall_seconds: float = 0,
) -> Cell:
    """The result of a run.

    Args:
        setup: which run it was.
        load: the load.
        points: the trace, in order.
        left: the pods that left.
        end: the end.
        alone: the innocent pods' run alone; None: there is none.
        wall_seconds: the time that it took.
    """
    lefts = sorted(left, key=lambda one: one.at)
    innocent = frozenset(load.innocent)
    lost = sum(one.pod in innocent for one in lefts)
    early = sum(one.pod not in innocent and one.at < 0 for one in lefts)
    done = units_by_second(points, innocent, end.at)
    work = done[-1] if done else 0
    harm = harm_at(points, innocent)
    beyond = harm_at([point for point in points if guilty_beyond(load, point)], innocent)
    gaps = [gap for name, gap in end.longest_gaps.items() if name in innocent]
    return Cell(
        load=setup.load,
        guard=setup.guard,
        cpus=setup.cpus,
        disk=load.disk,
        seed=setup.seed,
        run=setup.run,
        seconds=end.at,
        left=tuple(
            Leaving(
                pod=one.pod, seconds=one.at, how=one.how, guilty=one.pod in load.guilty, reason=one.reason
            )
            for one in lefts
        ),
        kernel_kills=end.kernel_kills,
        # Before the event no pod is guilty yet.
        innocents_lost=max(0, lost - load.innocents_to_go) + early,
        guilty_left=len(lefts) - lost,
        work_units=work,
        curve=done,
        pace_percent=pace_percent(load, done, end.at, lost, alone),
        longest_gap_seconds=max(gaps, default=0.0),
        harm_at=harm,
        decision_seconds=decision_seconds(load, lefts, harm),
        decision_when_beyond_seconds=decision_seconds(load, lefts, beyond),
        given_back_mib=given_back_mib(points[-1], innocent) if points else 0.0,
        guard_cpu_seconds=end.guard_cpu_seconds,
        guard_figures=end.guard_figures,
        wall_seconds=round(wall_seconds, 1),
    )


def units_by_second(points: Sequence[TracePoint], innocent: Iterable[str], end_at: float) -> tuple[int, ...]:
    """The units of all innocent pods since the event: at each second after it, and last at the end."""
    innocent = tuple(innocent)
    sums = [
        (point.at, sum(point.pods[name].units for name in innocent if name in point.pods)) for point in points
    ]
    sums = [(at, units) for at, units in sums if at >= 0] or sums[-1:]
    if not sums:
        return ()
    base = sums[0][1]
    seconds = [second * CURVE_SECONDS for second in range(int(end_at / CURVE_SECONDS) + 1)]
    return (*(round(_between(sums, at)) - base for at in seconds), sums[-1][1] - base)


def _between(sums: Sequence[tuple[float, int]], at: float) -> float:
    """The units at any time, from those at the times around it."""
    before = sums[0]
    for point in sums:
        if point[0] >= at:
            share = (at - before[0]) / (point[0] - before[0]) if point[0] > before[0] else 1.0
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]


def pace_percent(
    load: Load, done: Sequence[int], seconds: float, lost: int, alone: Cell | None
) -> float | None:
    """What the innocent pods finished, in percent of what they finish alone in the same time.

    Where innocent pods have to go because there is no guilty one that can, the work of as many as went, and
    had to, is not expected.
    """
    if alone is None or not done:
        return None
    expected = _at(alone, seconds)
    count = len(load.innocent)
    expected *= (count - min(lost, load.innocents_to_go)) / count if count else 1
    return round(100 * done[-1] / expected, 1) if expected > 0 else None


def _at(alone: Cell, seconds: float) -> float:
    """The units of a run at any time, also a little after its end."""
    *whole, last = alone.curve
    second = int(seconds / CURVE_SECONDS)
    if second + 1 < len(whole):
        share = seconds / CURVE_SECONDS - second
        return whole[second] + share * (whole[second + 1] - whole[second])
    return last * seconds / alone.seconds if alone.seconds else 0.0


def harm_at(points: Iterable[TracePoint], innocent: Iterable[str]) -> float | None:
    """When an innocent pod first stood still or stalled for too long, in seconds after the event."""
    innocent = frozenset(innocent)
    for point in points:
        if point.at <= 0:
            continue
        found = [
            max(0.0, point.at - pod.gap_seconds + HARM_GAP_SECONDS)
            for name, pod in point.pods.items()
            if name in innocent and pod.alive and pod.gap_seconds > HARM_GAP_SECONDS
        ]
        stalled = any(
            pod.some_percent > HARM_SOME_PERCENT
            for name, pod in point.pods.items()
            if name in innocent and pod.alive
        )
        if found or stalled:
            return round(min([*found, point.at]), 2)
    return None


def guilty_beyond(load: Load, point: TracePoint) -> bool:
    """Whether a guilty pod holds more than what it is covered for."""
    covered = {pod.name: load.covered_mib(pod) for pod in load.pods if pod.name in load.guilty}
    return any(
        pod.memory_mib + pod.swap_mib - pod.swap_cached_mib > covered[name]
        for name, pod in point.pods.items()
        if name in covered
    )


def decision_seconds(load: Load, lefts: Iterable[Left], harm: float | None) -> float | None:
    """From the first harm to the decision that took the first pod that had to go; 0: it came before any harm.

    That is a guilty pod, or where innocent ones have to go, any pod after the event. A pod that the kernel
    killed was decided on when it left.
    """
    for left in lefts:
        if left.pod in load.guilty or (load.innocents_to_go and left.at > 0):
            decided = left.at if left.decided_at is None else left.decided_at
            return None if harm is None else round(max(0.0, decided - harm), 2)
    return None


def given_back_mib(last: TracePoint, innocent: Iterable[str]) -> float:
    """Innocent pods' memory that is in swap and not in RAM too."""
    pods = [last.pods[name] for name in innocent if name in last.pods]
    return round(sum(max(0.0, pod.swap_mib - pod.swap_cached_mib) for pod in pods if pod.alive), 1)
