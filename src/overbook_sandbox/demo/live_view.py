"""The view of the running demo: two panels on a terminal, plain lines elsewhere.

Only :class:`LiveView` imports `rich`. Both views show stories, also with missing values.
"""

import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TextIO

from overbook_sandbox.demo.story import (
    PAID_POD,
    SILENCE_SECONDS,
    AnyEvent,
    DecisionEvent,
    Gone,
    Hello,
    Log,
    Phase,
    SampleEvent,
    StepEvent,
    Story,
    StoryPodSample,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Clock = Callable[[], float]

MEBIBYTE: Final = 1 << 20
STATUS_SECONDS: Final = 5.0
"""How often the plain view prints a node's state."""
_REFRESH_SECONDS: Final = 0.25
_TWO_PANELS: Final = 104
"""The least columns of a terminal for two panels side by side."""
_SPARKS: Final = "▁▂▃▄▅▆▇█"
_SPARKLINE: Final = 30
_STEPS: Final = 4
"""The number of last steps of the cluster in a panel."""
_UNKNOWN: Final = "–"


class View(Protocol):
    """A view that shows stories while they grow."""

    def __enter__(self) -> Self:
        """Start the view."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the view; the last picture stays."""
        ...

    def show(self, story: Story, event: AnyEvent) -> None:
        """Show an event that was added to a story."""
        ...

    def tick(self) -> None:
        """Update the view after some time."""
        ...


def view_for(stories: Sequence[Story], stream: TextIO, *, verbose: bool = False) -> View:
    """The view for a stream: live on a terminal if `rich` is installed, or else plain lines."""
    if stream.isatty():
        try:
            return LiveView(stories, stream, verbose=verbose)
        except ImportError:
            pass
    return PlainView(stream, verbose=verbose)


class PlainView:
    """A view with a line for each important event, and for each node's state every few seconds.

    Args:
        stream: The stream for the lines.
        verbose: Whether the agent's log lines are shown, too.
    """

    def __init__(self, stream: TextIO, *, verbose: bool = False) -> None:
        self._stream = stream
        self._verbose = verbose
        self._last_status: dict[str, float] = {}
        self._last_sample: dict[str, float] = {}

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    def show(self, story: Story, event: AnyEvent) -> None:
        """Print the lines for an event."""
        for words in self._words(story, event):
            print(f"[{story.name:7} {event.at:6.1f} s] {words}", file=self._stream, flush=True)

    def tick(self) -> None:
        """Do nothing: lines come only with events."""

    def _words(self, story: Story, event: AnyEvent) -> list[str]:
        match event:
            case Hello():
                return [f"{_mebibytes(story.node.memory_bytes)} of RAM, {len(story.pods)} pods"]
            case Phase():
                return [f"phase: {event.name}"]
            case DecisionEvent():
                return [f"{event.action}: {event.sentence}"]
            case StepEvent():
                return [event.sentence]
            case Gone():
                return [f"gone: {event.pod}, {event.how or 'reason not known'}"]
            case Log() if self._verbose:
                return [f"log: {event.text}"]
            case SampleEvent():
                return self._status(story, event)
        return []

    def _status(self, story: Story, sample: SampleEvent) -> list[str]:
        words = []
        silent = sample.at - self._last_sample.get(story.name, 0.0)
        self._last_sample[story.name] = sample.at
        if silent > SILENCE_SECONDS:
            words.append(f"no sample for {silent:.1f} s: the node did not answer")
        if sample.at - self._last_status.get(story.name, -STATUS_SECONDS) >= STATUS_SECONDS:
            self._last_status[story.name] = sample.at
            words.append(status(story))
        return words


class LiveView:
    """A view with panels that are redrawn in place.

    Args:
        stories: The stories, each with a panel.
        stream: The terminal.
        verbose: Whether the agent's last log lines are shown, too.
        clock: Seconds, to measure a node's silence.

    Raises:
        ImportError: `rich` is not installed.
    """

    def __init__(
        self,
        stories: Sequence[Story],
        stream: TextIO,
        *,
        verbose: bool = False,
        clock: Clock = time.monotonic,
        console: "Console | None" = None,
    ) -> None:
        from rich.console import Console  # noqa: PLC0415 - an extra of the package, needed only here
        from rich.live import Live  # noqa: PLC0415 - as above

        self._stories = stories
        self._verbose = verbose
        self._clock = clock
        self._console = console or Console(file=stream)
        self._last_event: dict[str, float] = {}
        self._drawn = -_REFRESH_SECONDS
        self._live: Live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        """Start drawing on the terminal."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last picture on the terminal."""
        self._live.update(self.picture(), refresh=True)
        self._live.stop()

    def show(self, story: Story, event: AnyEvent) -> None:
        """Note the time of a node's event, and redraw if it is time."""
        if isinstance(event, SampleEvent | Hello):
            self._last_event[story.name] = self._clock()
        self.tick()

    def tick(self) -> None:
        """Redraw, at most four times a second."""
        if self._clock() - self._drawn >= _REFRESH_SECONDS:
            self._drawn = self._clock()
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> "RenderableType":
        """All panels, side by side if there is room."""
        from rich.console import Group  # noqa: PLC0415 - as above
        from rich.panel import Panel  # noqa: PLC0415 - as above
        from rich.table import Table  # noqa: PLC0415 - as above
        from rich.text import Text  # noqa: PLC0415 - as above

        wide = self._console.width >= _TWO_PANELS and len(self._stories) > 1
        room = (self._console.width // 2 if wide else self._console.width) - 4
        panels = []
        bodies = []
        for story in self._stories:
            silent = self._clock() - self._last_event.get(story.name, self._clock())
            bodies.append(panel_lines(story, room, silent, verbose=self._verbose))
        tallest = max(map(len, bodies), default=0)
        for story, lines in zip(self._stories, bodies, strict=True):
            padding = [""] * (tallest - len(lines))  # so that panels side by side have the same height
            body = Text("\n".join([*lines, *padding]), no_wrap=True)
            title = "with Overbook" if story.overbook else "without: swap is on, the kernel decides"
            panels.append(Panel(body, title=title, border_style="green" if story.overbook else "yellow"))
        if not wide:
            return Group(*panels)
        grid = Table.grid(expand=True)
        for _ in panels:
            grid.add_column(ratio=1)
        grid.add_row(*panels)
        return grid


def panel_lines(story: Story, room: int, silent_seconds: float = 0.0, *, verbose: bool = False) -> list[str]:
    """The lines of a panel, each with at most `room` characters."""
    sample = story.samples[-1] if story.samples else SampleEvent(at=0.0)
    lines = [_phase_line(story, silent_seconds), *_bars(story, sample, room), *_sparklines(story)]
    lines += ["", f"{'pod':10}{'memory':>9}{'swap':>9} {'allowance':>10}  state"]
    gone: Mapping[str, str] = {
        one.pod: "killed by OOM killer" if one.by_kernel else one.how or "gone" for one in story.gone
    }
    lines += [_pod_line(name, sample.pods.get(name), gone.get(name)) for name in story.pod_names]
    lines += ["", pace_text(story)]
    decided = story.decisions[-1] if story.decisions else None
    if decided is not None:
        words = f"{decided.at:.0f} s: {decided.sentence or decided.action}"
    else:
        words = "no decision yet" if story.overbook else "no agent here: the kernel decides"
    lines += textwrap.wrap(words, room, max_lines=3, placeholder=" …")
    for step in story.steps[-_STEPS:]:
        lines += textwrap.wrap(f"{step.at:.0f} s: {step.sentence}", room, max_lines=2, placeholder=" …")
    if verbose:
        lines += [f"  {log.text}" for log in story.logs[-3:]]
    return [line[:room] for line in lines]


def status(story: Story) -> str:
    """A node's state in one line."""
    if not story.samples:
        return "no sample yet"
    sample = story.samples[-1]
    traffic = [_number(sample.swap_in_pages_per_second), _number(sample.swap_out_pages_per_second)]
    return (
        f"memory {_mebibytes(_used(story, sample))} of {_mebibytes(story.node.memory_bytes)}, "
        f"swap {_mebibytes(sample.swap_used_bytes)}, in {traffic[0]} out {traffic[1]} pages/s, "
        f"stall {_number(sample.stall_full_percent)} %, {pace_text(story)}"
    )


def pace_text(story: Story) -> str:
    """The paid pod's present pace, compared with its pace alone."""
    pace = story.samples[-1].pace if story.samples else None
    alone = story.pace_alone()
    if pace is None:
        return f"{PAID_POD}: pace not known"
    share = f", {100 * pace / alone:.0f} % of alone" if alone else ""
    return f"{PAID_POD}: {pace:.1f} units/s{share}"


def sparkline(values: Sequence[float | None], highest: float) -> str:
    """A bar for each of the last values; a blank for an unknown one."""
    bars = []
    for value in values[-_SPARKLINE:]:
        if value is None:
            bars.append(" ")
        else:
            share = min(1.0, max(0.0, value / highest)) if highest > 0 else 0.0
            bars.append(_SPARKS[round(share * (len(_SPARKS) - 1))])
    return "".join(bars)


def bar(used: float | None, size: float | None, width: int) -> str:
    """A bar of a width, filled in proportion."""
    share = used / size if used is not None and size else 0.0
    full = round(min(1.0, max(0.0, share)) * width)
    return "█" * full + "░" * (width - full)


def _phase_line(story: Story, silent_seconds: float) -> str:
    phase = story.phase or "starting"
    silence = f"   no sample for {silent_seconds:.0f} s" if silent_seconds > SILENCE_SECONDS else ""
    return f"{phase}, {story.end:.0f} s{'   done' if story.complete else silence}"


def _bars(story: Story, sample: SampleEvent, room: int) -> list[str]:
    width = max(4, min(30, room - 32))
    rows = (
        ("memory", _used(story, sample), story.node.memory_bytes),
        ("swap", sample.swap_used_bytes, story.node.swap_bytes),
    )
    return [
        f"{name:8}{bar(used, size, width)} {_mebibytes(used)} of {_mebibytes(size)}"
        for name, used, size in rows
    ]


def _sparklines(story: Story) -> list[str]:
    last = story.samples[-_SPARKLINE:]
    rows = (
        ("swap in", [one.swap_in_pages_per_second for one in last], 1000.0, "pages/s"),
        ("swap out", [one.swap_out_pages_per_second for one in last], 1000.0, "pages/s"),
        ("stall", [one.stall_full_percent for one in last], 10.0, "%"),
    )
    lines = []
    for name, values, least, unit in rows:  # without a least height, noise would look like a problem
        highest = max([least, *(value for value in values if value is not None)])
        now = _number(values[-1]) if values else _UNKNOWN
        lines.append(f"{name:9}{sparkline(values, highest):{_SPARKLINE}} {now} {unit}")
    return lines


def _pod_line(name: str, pod: StoryPodSample | None, gone: str | None) -> str:
    if pod is None:
        return f"{name:10}{_UNKNOWN:>9}{_UNKNOWN:>9} {_UNKNOWN:>10}  {gone or 'not started'}"
    state = gone or ("runs" if pod.alive else "does not run")
    allowance = _short(pod.swap_max_bytes)
    return f"{name:10}{_short(pod.memory_bytes):>9}{_short(pod.swap_bytes):>9} {allowance:>10}  {state}"


def _used(story: Story, sample: SampleEvent) -> int | None:
    if story.node.memory_bytes is None or sample.memory_available_bytes is None:
        return None
    return story.node.memory_bytes - sample.memory_available_bytes


def _short(size: int | None) -> str:
    return _UNKNOWN if size is None else f"{size / MEBIBYTE:.0f} Mi"


def _mebibytes(size: int | None) -> str:
    return f"{_UNKNOWN} MiB" if size is None else f"{size / MEBIBYTE:.0f} MiB"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,.0f}"
