"""The summary of the demo: facts, a table that compares both nodes, and sentences from the facts."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from overbook_sandbox.demo.story import HELD_SWAP_BYTES, PAID_POD, WILD_POD, Gone, Story

MEBIBYTE: Final = 1 << 20
_CELL: Final = 38


class Departure(msgspec.Struct, frozen=True, rename="camel"):
    """A pod that left: the time in seconds of the story, and how it left."""

    pod: str
    at: float
    how: str
    seconds_into_wild: float | None = None

    @property
    def sentence(self) -> str:
        """The departure as a sentence."""
        if self.seconds_into_wild is None:
            return f"{self.pod}: {self.how} at {self.at:.0f} s"
        return f"{self.pod}: {self.how}, {self.seconds_into_wild:.1f} s after `wild` began"

    @property
    def clause(self) -> str:
        """The departure as a part of a sentence."""
        how = self.how if self.how in {"exited", "gone"} else f"was {self.how}"
        return f"{self.pod} {how}" + (
            f" after {self.seconds_into_wild:.1f} s" if self.seconds_into_wild is not None else ""
        )


class RunFacts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The facts from one node's events. Unknown facts are None.

    Attributes:
        overbook: whether Overbook's agent ran.
        complete: whether the story reached its end.
        guests: the VM pods.
        guests_fit: whether each of them ran until the phase `wild` began.
        held_bytes: the most that all pods held in RAM and swap together before `wild`.
        may_swap: the pods that are eligible for swap.
        swapped: the pods that ever had more than 1 MiB in swap.
        pace_alone: the paid pod's units per second in the phase `alone`; the other paces likewise.
        standstill_seconds: the longest time from `wild` on without a finished unit.
        departures: the pods that left.
        decision_seconds: the time from the start of `wild` to the agent's first reclaim or relief;
            `relief_seconds` likewise.
        in_trouble: whether there was trouble from `wild` on.
        recovery_seconds: the time from the start of `wild` to the recovery.
        silent_seconds: the total time without samples; the longest one beside it.
    """

    overbook: bool
    complete: bool
    memory_bytes: int | None
    node_swap_bytes: int | None
    guests: tuple[str, ...]
    guests_fit: bool | None
    held_bytes: int | None
    may_swap: tuple[str, ...]
    swapped: tuple[str, ...]
    peak_swap_bytes: int | None
    pace_alone: float | None
    pace_steady: float | None
    pace_wild: float | None
    pace_after: float | None
    standstill_seconds: float | None
    departures: tuple[Departure, ...]
    oom_kills: int
    peak_swap_in: float | None
    peak_swap_out: float | None
    peak_stall_percent: float | None
    decision_seconds: float | None
    relief_seconds: float | None
    in_trouble: bool
    recovery_seconds: float | None
    silent_seconds: float
    longest_silence_seconds: float

    def share_of_alone(self, pace: float | None) -> float | None:
        """A pace in percent of the pace alone."""
        return 100 * pace / self.pace_alone if pace is not None and self.pace_alone else None

    @property
    def went_in_wild(self) -> tuple[str, ...]:
        """The pods that left from `wild` on."""
        return tuple(one.pod for one in self.departures if one.seconds_into_wild is not None)


def facts_of(story: Story) -> RunFacts:
    """The facts of a story for the summary."""
    wild = story.span("wild")
    since = wild.start if wild else None
    recovered = story.recovered_at(since) if since is not None else None
    silences = story.silences()
    guests = tuple(pod.name for pod in story.pods if pod.virtual_machine)
    return RunFacts(
        overbook=story.overbook,
        complete=story.complete,
        memory_bytes=story.node.memory_bytes,
        node_swap_bytes=story.node.swap_bytes,
        guests=guests,
        guests_fit=_guests_fit(story, guests, since),
        held_bytes=_held_bytes(story, since),
        may_swap=tuple(pod.name for pod in story.pods if pod.may_swap),
        swapped=_swapped(story),
        peak_swap_bytes=max(
            (one.swap_used_bytes for one in story.samples if one.swap_used_bytes is not None), default=None
        ),
        pace_alone=story.pace_alone(),
        pace_steady=story.pace(story.span("steady")),
        pace_wild=story.pace(wild),
        pace_after=story.pace(story.span("after")),
        standstill_seconds=story.longest_standstill(since) if since is not None else None,
        departures=tuple(_departure(story, gone, since) for gone in story.gone),
        oom_kills=sum(gone.by_kernel for gone in story.gone),
        peak_swap_in=_peak(one.swap_in_pages_per_second for one in story.samples),
        peak_swap_out=_peak(one.swap_out_pages_per_second for one in story.samples),
        peak_stall_percent=_peak(one.stall_full_percent for one in story.samples),
        decision_seconds=_first_decision(story, since, ("reclaim", "relieve")),
        relief_seconds=_first_decision(story, since, ("relieve",)),
        in_trouble=since is not None and story.trouble_at(since) is not None,
        recovery_seconds=recovered - since if recovered is not None and since is not None else None,
        silent_seconds=sum(span.seconds for span in silences),
        longest_silence_seconds=max((span.seconds for span in silences), default=0.0),
    )


class Promise(msgspec.Struct, frozen=True, rename="camel"):
    """An expected result of the demo, with the observed one."""

    promise: str
    kept: bool
    seen: str


def promises(facts: RunFacts) -> tuple[Promise, ...]:
    """The expected results of a node with Overbook."""
    return (
        Promise("the VMs fit", facts.guests_fit is True, fit_text(facts)),
        Promise("only Burstable VM pods swapped", _only_guests_swapped(facts), swapped_text(facts)),
        Promise(f"only {WILD_POD} left", facts.went_in_wild == (WILD_POD,), went_text(facts)),
        Promise("the node recovered", facts.recovery_seconds is not None, recovery_text(facts)),
    )


def migrated(facts: RunFacts) -> Promise:
    """The additional expected result on a cluster: the wild VM was live-migrated, not ended."""
    moved = any(one.pod == WILD_POD and one.how.startswith("migrated") for one in facts.departures)
    return Promise(f"{WILD_POD} was moved by live migration", moved, went_text(facts))


def fit_text(facts: RunFacts) -> str:
    """Whether the VMs fitted, with the memory of pods and node."""
    if facts.guests_fit is None:
        return "not known: the phase `wild` was not reached"
    before = [one for one in facts.departures if one.seconds_into_wild is None]
    if not facts.guests_fit:
        return "no: " + ("; ".join(one.sentence for one in before) or "not all of them were running")
    held = f"; pods held {_mebibytes(facts.held_bytes)}" if facts.held_bytes is not None else ""
    ram = f" on {_mebibytes(facts.memory_bytes)} of RAM" if held and facts.memory_bytes is not None else ""
    return f"yes: all {len(facts.guests)} ran{held}{ram}"


def swapped_text(facts: RunFacts) -> str:
    """The pods that swapped, and whether all of them are eligible."""
    if not facts.swapped:
        return "no pod"
    if _only_guests_swapped(facts):
        return f"only {names(facts.swapped)}"
    others = [name for name in facts.swapped if name not in facts.may_swap]
    return names(facts.swapped) + (f"; {names(others)} should not have" if facts.overbook else "")


def went_text(facts: RunFacts) -> str:
    """The pods that left, with how and when."""
    return "; ".join(one.sentence for one in facts.departures) or "no pod"


def recovery_text(facts: RunFacts) -> str:
    """The duration of the recovery."""
    if facts.recovery_seconds is not None:
        return f"{facts.recovery_seconds:.1f} s after `wild` began"
    if facts.pace_alone is None:
        return "not known: the pace alone was not measured"
    return "not seen" if facts.in_trouble else "was not in trouble"


def _silence(facts: RunFacts) -> str:
    if not facts.silent_seconds:
        return "never"
    return f"{facts.silent_seconds:.0f} s in all, {facts.longest_silence_seconds:.0f} s at once"


_ROWS: Final[tuple[tuple[str, Callable[[RunFacts], str]], ...]] = (
    ("the VMs fit", fit_text),
    ("pods that swapped", swapped_text),
    ("most swap in use", lambda facts: _mebibytes(facts.peak_swap_bytes)),
    (f"pace of {PAID_POD}, alone", lambda facts: _number(facts.pace_alone, "{:.1f} units/s")),
    ("… while the others swap", lambda facts: _pace(facts, facts.pace_steady)),
    (f"… while {WILD_POD} runs wild", lambda facts: _pace(facts, facts.pace_wild)),
    ("… afterwards", lambda facts: _pace(facts, facts.pace_after)),
    ("its longest standstill", lambda facts: _number(facts.standstill_seconds, "{:.1f} s")),
    ("pods that left", went_text),
    ("killed by the kernel (OOM)", lambda facts: str(facts.oom_kills)),
    ("swap traffic, peak in", lambda facts: _number(facts.peak_swap_in, "{:,.0f} pages/s")),
    ("swap traffic, peak out", lambda facts: _number(facts.peak_swap_out, "{:,.0f} pages/s")),
    ("memory stall, peak", lambda facts: _number(facts.peak_stall_percent, "{:.0f} %")),
    ("first decision in `wild`", lambda facts: _number(facts.decision_seconds, "after {:.1f} s", "none")),
    ("relief requested", lambda facts: _number(facts.relief_seconds, "after {:.1f} s", "no")),
    ("recovered", recovery_text),
    ("the node did not answer", _silence),
)


def table(columns: Sequence[RunFacts]) -> str:
    """The facts as a table of text: a row for each fact, a column for each node."""
    heads = ["with Overbook" if one.overbook else "without" for one in columns]
    width = max(len(title) for title, _ in _ROWS)
    lines = [f"{'':{width}}  " + "  ".join(f"{head:{_CELL}}" for head in heads)]
    lines.append("─" * (width + (_CELL + 2) * len(columns)))
    for title, text in _ROWS:
        cells = [textwrap.wrap(text(one), _CELL) or [""] for one in columns]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append(
                f"{title if number == 0 else '':{width}}  " + "  ".join(f"{part:{_CELL}}" for part in parts)
            )
    return "\n".join(line.rstrip() for line in lines)


def sentences(columns: Sequence[RunFacts]) -> list[str]:
    """The most important facts in three to five sentences."""
    found = [sentence for one in columns for sentence in _sentences_of(one)]
    stood = {one.overbook: one.standstill_seconds for one in columns}
    ours, theirs = stood.get(True), stood.get(False)
    if ours is not None and theirs is not None:
        found.append(
            f"From the moment {WILD_POD} ran wild, the longest that {PAID_POD} stood still was {ours:.1f} s "
            f"with Overbook and {theirs:.1f} s without."
        )
    return found


def headline(facts: RunFacts) -> str:
    """The summary of a node's story in a dozen words."""
    went = [one for one in facts.departures if one.seconds_into_wild is not None]
    if facts.guests_fit is False:
        who = "The VMs did not fit"
    elif not went:
        who = "No pod left"
    else:
        who = "; ".join(one.clause for one in went[:2])
        who += f" and {len(went) - 2} more" if len(went) > 2 else ""
    if not facts.complete:
        who = f"Not complete · {who}"
    if facts.standstill_seconds is None:
        return who
    return f"{who} · {PAID_POD} stood still for {facts.standstill_seconds:.1f} s"


def names(many: Iterable[str]) -> str:
    """A list of names as `a, b and c`."""
    *first, last = many
    return f"{', '.join(first)} and {last}" if first else last


def as_json(stories: Sequence[Story]) -> bytes:
    """The summary as JSON."""
    columns = [facts_of(story) for story in stories]
    document: dict[str, object] = {
        story.name: {"facts": facts, "promises": promises(facts)}
        for story, facts in zip(stories, columns, strict=True)
    }
    document["sentences"] = sentences(columns)
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _sentences_of(facts: RunFacts) -> Iterable[str]:
    where = "with Overbook" if facts.overbook else "without Overbook"
    if facts.guests_fit:
        fits = "all VMs ran"
        if facts.held_bytes is not None and facts.memory_bytes is not None:
            fits += f" ({_mebibytes(facts.held_bytes)} of pods on {_mebibytes(facts.memory_bytes)} of RAM)"
    elif facts.guests_fit is None:
        fits = "the phase `wild` was not reached"
    else:
        fits = f"not all VMs fitted ({fit_text(facts).removeprefix('no: ')})"
    share = facts.share_of_alone(facts.pace_steady)
    pace = f", and {PAID_POD} worked at {share:.0f} % of the pace it had alone" if share is not None else ""
    only = "only " if _only_guests_swapped(facts) else ""
    who = f"{only}{names(facts.swapped)} swapped" if facts.swapped else "no pod swapped"
    yield f"{where[0].upper()}{where[1:]} {fits}, {who}{pace}."
    if facts.guests_fit is None:
        return
    steps = [f"relief was requested after {facts.relief_seconds:.1f} s"] if facts.relief_seconds else []
    went = [one for one in facts.departures if one.seconds_into_wild is not None]
    steps += [one.clause for one in went] or ["no pod left"]
    if facts.recovery_seconds is not None:
        steps.append(f"the node was back to normal after {facts.recovery_seconds:.1f} s")
    else:
        steps.append(f"recovery: {recovery_text(facts)}")
    yield f"When {WILD_POD} ran wild {where}, {names(steps)}."


def _guests_fit(story: Story, guests: Iterable[str], since: float | None) -> bool | None:
    if since is None:
        return None
    if any(gone.at < since and gone.pod in guests for gone in story.gone):
        return False
    before = [one for one in story.samples if one.at <= since]
    return bool(before) and all(name in before[-1].pods and before[-1].pods[name].alive for name in guests)


def _held_bytes(story: Story, since: float | None) -> int | None:
    held = [
        sum(pod.held_bytes for pod in one.pods.values())
        for one in story.samples
        if one.pods and (since is None or one.at <= since)
    ]
    return max(held, default=None)


def _swapped(story: Story) -> tuple[str, ...]:
    seen = {
        name
        for one in story.samples
        for name, pod in one.pods.items()
        if (pod.swap_bytes or 0) > HELD_SWAP_BYTES
    }
    return tuple(name for name in story.pod_names if name in seen)


def _only_guests_swapped(facts: RunFacts) -> bool:
    return bool(facts.swapped) and set(facts.swapped) <= set(facts.may_swap)


def _departure(story: Story, gone: Gone, since: float | None) -> Departure:
    how = (gone.how or "gone").replace("overbook", "Overbook")
    asked = any(step.victim_pod == gone.pod and step.at <= gone.at for step in story.decisions)
    if how == "ended" and asked:
        how = "ended by Overbook"
    into = gone.at - since if since is not None and gone.at >= since else None
    return Departure(gone.pod, gone.at, how, into)


def _first_decision(story: Story, since: float | None, actions: tuple[str, ...]) -> float | None:
    if since is None:
        return None
    times = (step.at - since for step in story.decisions if step.at >= since and step.action in actions)
    return min(times, default=None)


def _peak(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mebibytes(size: int | None) -> str:
    return "not known" if size is None else f"{size / MEBIBYTE:.0f} MiB"


def _number(value: float | None, form: str, missing: str = "not known") -> str:
    return missing if value is None else form.format(value)


def _pace(facts: RunFacts, pace: float | None) -> str:
    share = facts.share_of_alone(pace)
    return _number(pace, "{:.1f} units/s") + (f" ({share:.0f} % of alone)" if share is not None else "")
