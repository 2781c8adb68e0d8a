"""The history that detectors look back on, bounded in time and number.

It is dropped when averages over it would be wrong: after a jump of the clock, a long silence, or a
counter that went backwards.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Literal

from overbook.core.pressure.model import increase
from overbook.core.pressure.sample import LimitSample, NodeSample, Sample

Counter = Literal["swap_in_pages", "swap_out_pages", "stall_some_micros", "stall_full_micros"]
LimitCounter = Literal["refaults", "stall_some_micros", "stall_full_micros"]

COUNTERS: Final[Mapping[Counter, Callable[[NodeSample], int | None]]] = {
    "swap_in_pages": lambda node: node.in_pages,
    "swap_out_pages": lambda node: node.out_pages,
    "stall_some_micros": lambda node: node.stall_some_micros,
    "stall_full_micros": lambda node: node.stall_full_micros,
}
"""How each counter is read from a sample."""
MOST_POINTS: Final = 4096
"""The most points in a window. If samples come more often than that, some are left out."""


class History:
    """The node's counters over the longest window of the rules, and whole samples over the rank's window.

    Args:
        node_seconds: how far back detectors look.
        pod_seconds: how far back the rank looks at pods.
        longest_gap_seconds: after a longer time without a sample (a suspended machine, a starved agent)
            averages would be wrong, so everything older is dropped.
    """

    def __init__(self, node_seconds: float, pod_seconds: float, longest_gap_seconds: float = 60.0) -> None:
        self._node_seconds = node_seconds
        self._pod_seconds = pod_seconds
        self._longest_gap_seconds = longest_gap_seconds
        self._points: deque[tuple[float, NodeSample, tuple[LimitSample, ...]]] = deque(maxlen=MOST_POINTS)
        self._samples: deque[Sample] = deque(maxlen=MOST_POINTS)
        self.forgotten: str | None = None

    def add(self, sample: Sample) -> None:
        """Add a sample; :attr:`forgotten` then says why older ones were dropped (``None``: they were not)."""
        self.forgotten = self._doubt(sample)
        if self.forgotten:
            self._points.clear()
            self._samples.clear()
        # Points are left out between, not at the old end: an average over an hour has to reach back an hour.
        nearest = self._node_seconds / (MOST_POINTS // 2)
        if len(self._points) >= 2 and sample.at_seconds - self._points[-2][0] < nearest:
            self._points.pop()
        self._points.append((sample.at_seconds, sample.node, sample.limits))
        self._samples.append(sample)
        # One point older than the window stays: averages start there.
        while len(self._points) > 2 and sample.at_seconds - self._points[1][0] >= self._node_seconds:
            self._points.popleft()
        while len(self._samples) > 2 and sample.at_seconds - self._samples[1].at_seconds >= self._pod_seconds:
            self._samples.popleft()

    def restart(self) -> None:
        """Drop all but the newest sample, so that averages start there."""
        newest, point = self._samples[-1], self._points[-1]
        self._samples.clear()
        self._points.clear()
        self._samples.append(newest)
        self._points.append(point)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The samples of the rank's window, the oldest first."""
        return tuple(self._samples)

    @property
    def newest(self) -> Sample:
        """The sample that was added last."""
        return self._samples[-1]

    def per_second(self, counter: Counter, window_seconds: float, least_seconds: float) -> float | None:
        """Compute a counter's average increase per second.

        The average starts at the youngest point that is at least ``window_seconds`` old. In a shorter history
        it starts at the oldest point, if the history is at least ``least_seconds`` long.

        Returns:
            The rate, or ``None`` if it is not known yet.
        """
        grown, elapsed = self._grown(counter, window_seconds)
        return None if grown is None or elapsed < least_seconds else grown / elapsed

    def per_second_of_window(self, counter: Counter, window_seconds: float) -> float | None:
        """Compute a counter's average increase per second; before the history begins it counts as none.

        Returns:
            The rate, or ``None`` if it is not known.
        """
        grown, elapsed = self._grown(counter, window_seconds)
        return None if grown is None else grown / max(elapsed, window_seconds)

    def limit_per_second(
        self, path: str, counter: LimitCounter, window_seconds: float, least_seconds: float
    ) -> float | None:
        """Compute the average increase per second of a counter of a cgroup in the samples' ``limits``.

        The average starts as in :meth:`per_second`, but not before the cgroup is in the samples.

        Returns:
            The rate, or ``None`` if it is not known.
        """
        now = self._points[-1][0]
        start, first, last = now, None, None
        for at, _, limits in reversed(self._points):
            found = next((limit for limit in limits if limit.path == path), None)
            if found is None:
                break
            start, first = at, getattr(found, counter)
            last = first if at == now else last
            if now - at >= window_seconds:
                break
        grown, elapsed = increase(first, last), now - start
        return None if grown is None or elapsed <= 0 or elapsed < least_seconds else grown / elapsed

    def _grown(self, counter: Counter, window_seconds: float) -> tuple[int | None, float]:
        """How much a counter grew over the window, and in how many seconds."""
        now, node, _ = self._points[-1]
        start, reference, _ = self._points[0]
        for at, point, _ in reversed(self._points):
            if now - at >= window_seconds:
                start, reference = at, point
                break
        if now <= start:
            return None, 0.0
        read = COUNTERS[counter]
        return increase(read(reference), read(node)), now - start

    def _doubt(self, sample: Sample) -> str | None:
        if not self._points:
            return None
        at, node, _ = self._points[-1]
        elapsed = sample.at_seconds - at
        if elapsed < 0:
            return "the clock went backwards"
        if elapsed > self._longest_gap_seconds:
            return f"no sample for {elapsed:.0f} s"
        for counter, read in COUNTERS.items():
            before, after = read(node), read(sample.node)
            if before is not None and after is not None and after < before:
                return f"{counter} went backwards ({before} -> {after})"
        return None
