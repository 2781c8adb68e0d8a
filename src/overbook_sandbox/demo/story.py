"""The story of one node of the demo: its events in order, and the facts computed from them.

Only observed facts count. An unknown value is None, and a time without samples is a silence, not a line
between the samples around it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from overbook.core.pressure.holdings import holdings_bytes

PhaseName = Literal["alone", "fill", "steady", "wild", "after"]

PAID_POD: Final = "vm-paid"
"""The Guaranteed VM pod whose work is measured."""
WILD_POD: Final = "vm-c"
"""The VM pod that runs wild in the phase `wild`."""
SILENCE_SECONDS: Final = 3.0
"""A node without a sample for longer than this does not answer; samples come every 0.5 to 1 s."""
SHORTEST_SECONDS: Final = 0.2
"""Rates over a shorter time are noise: one page in a millisecond is no traffic of 1000 pages/s."""
WARM_UP_SECONDS: Final = 2.0
"""The pace of the paid pod counts only after this much of the phase `alone`."""
HELD_SWAP_BYTES: Final = 1 << 20
"""A pod with more than this in swap has swapped; less may be a few pages of its start."""
CALM_SECONDS: Final = 3.0
CALM_STALL_PERCENT: Final = 1.0
CALM_PACE_RATIO: Final = 0.9


class StoryPod(msgspec.Struct, frozen=True, rename="camel"):
    """A pod of the load. Unknown sizes are None."""

    name: str
    qos_class: str = ""
    virtual_machine: bool = False
    request_bytes: int | None = None
    guest_bytes: int | None = None

    @property
    def may_swap(self) -> bool:
        """Whether the pod is eligible for swap: a Burstable VM pod."""
        return self.virtual_machine and self.qos_class == "Burstable"


class NodeSize(msgspec.Struct, frozen=True, rename="camel"):
    """The node's RAM and swap, as its kernel counts them."""

    memory_bytes: int | None = None
    swap_bytes: int | None = None


class StoryPodSample(msgspec.Struct, frozen=True, rename="camel"):
    """A pod at one moment; `swap_max_bytes` is None if there is no limit or it is not known.

    What is in the swap cache is part of both memory and swap.
    """

    memory_bytes: int | None = None
    swap_bytes: int | None = None
    swap_cached_bytes: int = 0
    swap_max_bytes: int | None = None
    alive: bool = True

    @property
    def held_bytes(self) -> int:
        """The pod's holdings."""
        return holdings_bytes(self.memory_bytes or 0, self.swap_bytes or 0, self.swap_cached_bytes)


class StoryEvent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="event"):
    """An event of the program in the node; `at` is in monotonic seconds since that program's start."""

    at: float


class Hello(StoryEvent, frozen=True, kw_only=True, tag="hello"):
    """The program in the node has started."""

    overbook: bool | None = None
    node: NodeSize = NodeSize()
    pods: tuple[StoryPod, ...] = ()


class Phase(StoryEvent, frozen=True, kw_only=True, tag="phase"):
    """A phase begins."""

    name: str


class SampleEvent(StoryEvent, frozen=True, kw_only=True, tag="sample"):
    """The node at one moment; rates and pace are means since the previous sample."""

    memory_available_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_in_pages_per_second: float | None = None
    swap_out_pages_per_second: float | None = None
    stall_full_percent: float | None = None
    pods: dict[str, StoryPodSample] = {}
    pace: float | None = None
    gap_seconds: float | None = None


class DecisionEvent(StoryEvent, frozen=True, kw_only=True, tag="decision"):
    """The agent has made a decision."""

    action: str
    sentence: str = ""
    victim: str | None = None
    rule: str = ""

    @property
    def victim_pod(self) -> str | None:
        """The victim's name without its namespace."""
        return self.victim.rpartition("/")[2] if self.victim else None


class StepEvent(StoryEvent, frozen=True, kw_only=True, tag="step"):
    """A step of the scheduler, the controller or KubeVirt."""

    sentence: str


class Log(StoryEvent, frozen=True, kw_only=True, tag="log"):
    """A line of the agent's log."""

    text: str


class Gone(StoryEvent, frozen=True, kw_only=True, tag="gone"):
    """A pod has ended or left the node."""

    pod: str
    how: str = ""

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel's OOM killer killed the pod."""
        return "kernel" in self.how.lower()


class Bye(StoryEvent, frozen=True, kw_only=True, tag="bye"):
    """The program in the node has finished."""


AnyEvent = Hello | Phase | SampleEvent | DecisionEvent | StepEvent | Log | Gone | Bye

_AnEvent = TypeVar("_AnEvent", bound=StoryEvent)

_DECODER: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)


def read_event(line: str) -> AnyEvent | None:
    """The event in a line; None for unknown events and other lines."""
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:  # also for wrong types and unknown events
        return None


def _moved(event: _AnEvent, origin: float) -> _AnEvent:
    return msgspec.structs.replace(event, at=max(0.0, event.at - origin)) if origin else event


def _time(event: StoryEvent) -> float:
    return event.at


class Span(NamedTuple):
    """A span of time in seconds."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The length of the span."""
        return self.end - self.start

    def overlap(self, other: "Span") -> float:
        """The seconds that two spans have in common."""
        return max(0.0, min(self.end, other.end) - max(self.start, other.start))


class Story:
    """The events of one node in order, and the facts computed from them.

    Args:
        overbook: Whether the node runs Overbook's agent.

    Attributes:
        complete: Whether the program in the node has finished.
        end: The time of the last event, in seconds since the first phase began.
    """

    def __init__(self, *, overbook: bool) -> None:
        self.overbook = overbook
        self.node = NodeSize()
        self.pods: tuple[StoryPod, ...] = ()
        self.phases: list[Phase] = []
        self.samples: list[SampleEvent] = []
        self.decisions: list[DecisionEvent] = []
        self.steps: list[StepEvent] = []
        self.gone: list[Gone] = []
        self.logs: list[Log] = []
        self.complete = False
        self.end = 0.0
        self._origin = 0.0

    @property
    def name(self) -> str:
        """`with` or `without`."""
        return "with" if self.overbook else "without"

    def add(self, event: AnyEvent) -> AnyEvent:
        """Add the next event. A sample too soon after the previous one is dropped.

        Returns:
            The event with its time in the story, which begins with the first phase: a node's preparation is
            not part of the story.
        """
        if isinstance(event, Phase) and not self.phases:
            self._begin(event.at)
        event = _moved(event, self._origin)
        self.end = max(self.end, event.at)
        match event:
            case Hello():
                self.node, self.pods = event.node, event.pods
            case Phase():
                self.phases.append(event)
            case SampleEvent() if not self.samples or event.at - self.samples[-1].at >= SHORTEST_SECONDS:
                self.samples.append(event)
            case DecisionEvent():
                self.decisions.append(event)
            case StepEvent():
                self.steps.append(event)
            case Gone():
                self.gone.append(event)
            case Log():
                self.logs.append(event)
            case Bye():
                self.complete = True
        return event

    def _begin(self, at: float) -> None:
        """Set the origin of time: earlier events get the time 0, and earlier samples are dropped."""
        self._origin, self.end = at, 0.0
        self.samples.clear()
        self.decisions = [_moved(step, at) for step in self.decisions]
        self.steps = [_moved(step, at) for step in self.steps]
        self.gone = [_moved(gone, at) for gone in self.gone]
        self.logs = [_moved(log, at) for log in self.logs]

    @property
    def pod_names(self) -> tuple[str, ...]:
        """The names of all pods: the announced ones, then others in samples."""
        announced = [pod.name for pod in self.pods]
        return tuple(dict.fromkeys([*announced, *(name for sample in self.samples for name in sample.pods)]))

    @property
    def phase(self) -> str | None:
        """The present phase."""
        return self.phases[-1].name if self.phases else None

    def span(self, name: PhaseName) -> Span | None:
        """The time span of a phase; None if it was not reached."""
        for index, phase in enumerate(self.phases):
            if phase.name == name:
                later = self.phases[index + 1 :]
                return Span(phase.at, later[0].at if later else self.end)
        return None

    def silences(self) -> tuple[Span, ...]:
        """The spans without a sample for longer than :data:`SILENCE_SECONDS`, also at the story's end."""
        times = [0.0, *(sample.at for sample in self.samples), self.end]
        spans = (Span(start, end) for start, end in pairwise(times))
        return tuple(span for span in spans if span.seconds > SILENCE_SECONDS)

    def pace(self, span: Span | None) -> float | None:
        """The paid pod's units per second in a span of time, as far as known."""
        if span is None:
            return None
        first = bisect_right(self.samples, span.start, key=_time)
        last = bisect_left(self.samples, span.end, key=_time) + 1
        before = self.samples[first - 1].at if first else 0.0
        known = []
        for sample in self.samples[first:last]:
            if sample.pace is not None:
                known.append((sample.pace, span.overlap(Span(before, sample.at))))
            before = sample.at
        seconds = sum(weight for _, weight in known)
        return sum(pace * weight for pace, weight in known) / seconds if seconds > 0 else None

    def pace_alone(self) -> float | None:
        """The pace in the phase `alone` after its warm-up, with which other paces are compared."""
        alone = self.span("alone")
        return self.pace(Span(alone.start + WARM_UP_SECONDS, alone.end)) if alone else None

    def longest_standstill(self, since: float) -> float | None:
        """The longest known time in seconds in which the paid pod finished no unit of work.

        If the node was silent for D seconds and k units were finished in that time, one gap was at least
        D / (k + 1) long, which is the contribution of a silence. A pod that left stands still from then on.
        """
        known: list[float] = []
        for sample, covered in self._covered():
            if sample.at < since:
                continue
            seconds = Span(max(covered.start, since), covered.end).seconds
            if sample.gap_seconds is not None:
                known.append(sample.gap_seconds)
            if sample.pace is not None:
                known.append(seconds / (sample.pace * seconds + 1))
            elif sample.gap_seconds is None and seconds > SILENCE_SECONDS:
                known.append(seconds)
        if self.samples and (trailing := self.end - max(self.samples[-1].at, since)) > SILENCE_SECONDS:
            known.append(trailing + (self.samples[-1].gap_seconds or 0.0))
        known += [self.end - gone.at for gone in self.gone if gone.pod == PAID_POD]
        return max(known, default=None)

    def recovered_at(self, since: float) -> float | None:
        """The time from which memory did not stall and the paid pod had its pace; None: never or not known.

        It is the start of the first :data:`CALM_SECONDS` of calm after the last pod left, or else after the
        first decision to act, or else after the worst stall.
        """
        trouble = self.trouble_at(since)
        alone = self.pace_alone()
        if trouble is None or alone is None:
            return None
        silences = self.silences()
        for index, sample in enumerate(self.samples):
            window = Span(sample.at - CALM_SECONDS, sample.at)
            if window.start < trouble or any(window.overlap(silence) > 0 for silence in silences):
                continue
            stalls = [
                earlier.stall_full_percent
                for earlier in self.samples[: index + 1]
                if earlier.at > window.start and earlier.stall_full_percent is not None
            ]
            pace = self.pace(window)
            if not stalls or pace is None:
                continue
            if sum(stalls) / len(stalls) < CALM_STALL_PERCENT and pace >= CALM_PACE_RATIO * alone:
                return window.start
        return None

    def trouble_at(self, since: float) -> float | None:
        """The time after which recovery is measured; None if there was no trouble."""
        went = [gone.at for gone in self.gone if gone.at >= since and gone.how != "exited"]
        if went:
            return max(went)
        if acted := [step.at for step in self.decisions if step.at >= since and step.action != "wait"]:
            return min(acted)
        stalls = [
            (sample.stall_full_percent, sample.at)
            for sample in self.samples
            if sample.at >= since and sample.stall_full_percent is not None
        ]
        worst, at = max(stalls, default=(0.0, 0.0))
        return at if worst >= CALM_STALL_PERCENT else None

    def _covered(self) -> Iterator[tuple[SampleEvent, Span]]:
        """Each sample with the span of time of its means."""
        before = 0.0
        for sample in self.samples:
            yield sample, Span(before, sample.at)
            before = sample.at
