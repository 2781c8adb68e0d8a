from collections.abc import Iterable, Iterator

import msgspec
import pytest

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.decision import Decision
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.recording import MOST_LINE_BYTES, Recording, Relieved, Tick
from overbook.core.pressure.replay import MOST_ROWS, Comparison, Course, compare
from overbook.core.pressure.ruleset import DEFAULT_RULESET, DOCUMENTED_RULESET, Group, Rule, Ruleset
from overbook.core.pressure.sample import ContainerSample, NodeSample, PodSample, Sample

MI = 1 << 20
FULL = Ruleset(
    rules=(Rule(any=(Group(all=(SwapOccupancy(threshold_factor=0.5),)),)),),
    rank="original",
    settle_seconds=2.0,
)
FACTS = {uid: PodFacts(uid, f"shop/{uid}", "Burstable", original_request_bytes=MI) for uid in ("a", "b")}


def sample(at: float, *pods: str, used: int = 1500, wall: float | None = None) -> Sample:
    """Return a sample of a node of 1,000 MiB of RAM and as much swap, with ``used`` MiB of both in use."""
    memory, swap = min(used, 1000), max(0, used - 1000)
    return Sample(
        at,
        at if wall is None else wall,
        NodeSample(1000 * MI, (1000 - memory) * MI, 1000 * MI, (1000 - swap) * MI),
        tuple(PodSample(uid, (_container((300 if uid == "a" else 200) * MI),)) for uid in pods),
    )


def _container(held: int) -> ContainerSample:
    return ContainerSample("c", held, 0, held, 0, 0, 0)


def evicted(ticks: Iterable[Tick], relief_seconds: float = 10.0) -> list[tuple[float, str]]:
    found = compare(ticks, Course(FULL, relief_seconds=relief_seconds))
    return [(row.seconds, row.right.victim) for row in found.rows if row.right and row.right.victim]


def full_node(seconds: int, *pods: str) -> Iterator[Tick]:
    for second in range(seconds):
        yield Tick(sample(100.0 + second, *pods, used=1600), FACTS)


def test_a_pod_kept_by_the_recording_leaves_in_bounded_time() -> None:
    assert evicted(full_node(30, "a", "b")) == [(0.0, "shop/a"), (12.0, "shop/b")]
    assert evicted(full_node(30, "a", "b"), 3.0) == [(0.0, "shop/a"), (5.0, "shop/b")]


def test_a_pod_that_vanishes_is_gone_at_once() -> None:
    ticks = [
        Tick(sample(at, *(("a", "b") if at < 3 else ("b",)), used=1600), FACTS)
        for at in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    ]
    assert evicted(ticks) == [(0.0, "shop/a"), (5.0, "shop/b")]


def test_a_pod_whose_relief_was_recorded_is_gone_too() -> None:
    ticks = list(full_node(8, "a", "b"))
    ticks[1] = msgspec.structs.replace(ticks[1], relieved=Relieved("shop/a", "ended"))
    assert evicted(ticks) == [(0.0, "shop/a"), (3.0, "shop/b")]


def test_no_pod_is_relieved_twice() -> None:
    assert [victim for _, victim in evicted(full_node(200, "a", "b"))] == ["shop/a", "shop/b"]


def test_a_reboot_does_not_stop_the_time() -> None:
    ticks = [
        Tick(sample(5000.0, "a", used=100, wall=1000.0), FACTS),
        Tick(sample(3.0, "a", used=100, wall=1060.0), FACTS),
        Tick(sample(4.0, "a", used=1600, wall=1061.0), FACTS),
    ]
    found = compare(ticks, Course(FULL))
    assert found.seconds == 61.0
    assert found.right.first_asked_seconds == 61.0


def test_waiting_alone_is_no_difference() -> None:
    found = Comparison()
    found.take(1.0, None, Decision(1, 0.0, (), "wait", "no pod may be evicted"))
    assert found.differ_from_seconds is None
    assert len(found.rows) == 1


def test_rows_are_bounded_and_the_rest_is_counted() -> None:
    found = Comparison()
    for second in range(MOST_ROWS + 7):
        action = "wait" if second % 2 else "reclaim"
        found.take(float(second), None, Decision(1, 0.0, (), action, "x"))
    assert len(found.rows) == MOST_ROWS
    assert found.rows_left_out == 7
    assert found.right.decisions == MOST_ROWS + 7


def test_repetitions_are_one_row() -> None:
    found = Comparison()
    for second in range(5):
        decision = Decision(1, 0.0, (), "reclaim", "x")
        found.take(float(second), decision, decision)
    assert [(row.times, row.until_seconds) for row in found.rows] == [(5, 4.0)]


def test_entries_after_a_sample_belong_to_it() -> None:
    lines = [
        msgspec.json.encode(entry) + b"\n"
        for entry in (
            {"decision": Decision(9, 0.0, (), "wait", "from a run before")},
            {"pods": [FACTS["a"]]},
            {"sample": sample(1.0, "a")},
            {"decision": Decision(1, 0.0, (), "wait", "x")},
            {"pods": [FACTS["b"]]},
            {"sample": sample(2.0, "b")},
            {"relief": Relieved("shop/a", "ended"), "wallSeconds": 2.0},
        )
    ]
    first, second = Recording(lines, "r").ticks()
    assert (list(first.facts), list(second.facts)) == (["a"], ["b"])
    assert first.decision is not None
    assert first.decision.number == 1
    assert second.decision is None
    assert second.relieved == Relieved("shop/a", "ended")


def test_a_line_beyond_the_bound_is_refused() -> None:
    with pytest.raises(InvalidInput, match="line 1"):
        list(Recording([b" " * (MOST_LINE_BYTES + 1)], "r").ticks())


OLD = (
    b'{"pods":[{"uid":"a","label":"shop/a","qos_class":"Burstable","original_request_bytes":1048576}]}\n',
    (
        b'{"sample":[1.0,1.0,[1048576000,0,1048576000,419430400,0,0,0,0,0],'
        b'[["a",[["c",314572800,0,314572800,0,0,0]]]]]}\n'
    ),
)
"""A recording of an agent that knew of no swap cache and no stalls of pods."""


def test_an_old_recording_is_read_and_decided_as_before() -> None:
    (tick,) = Recording(OLD, "old.jsonl").ticks()
    assert tick.sample.node.swap_cached_bytes is None
    assert tick.sample.pods[0].stall_some_micros is None
    assert tick.sample.pods[0].containers[0].swap_cached_bytes == 0
    assert evicted([tick]) == [(0.0, "shop/a")]
    found = compare([tick], Course(DEFAULT_RULESET))
    assert [figures.rule for figures in found.rules] == [rule.title for rule in DEFAULT_RULESET.rules]


def test_a_recording_keeps_stalls_and_swap_cache() -> None:
    node = NodeSample(1000 * MI, 500 * MI, 1000 * MI, 900 * MI, 1, 2, 3, 4, 5, 60 * MI)
    container = ContainerSample("c", 300 * MI, 0, 300 * MI, 100 * MI, None, 7, 60 * MI)
    written = Sample(1.0, 1.0, node, (PodSample("a", (container,), 11, 9),))
    line = msgspec.json.encode({"sample": written}) + b"\n"
    (tick,) = Recording([line], "new.jsonl").ticks()
    assert tick.sample == written


def test_a_recording_shows_both_judgements_of_a_covered_pod() -> None:
    # All that the node has is in use, and the pod is covered: the documents evict, the default does not.
    covered = {"a": msgspec.structs.replace(FACTS["a"], memory_request_bytes=400 * MI)}
    ticks = [Tick(sample(100.0 + second, "a", used=1900), covered) for second in range(20)]
    found = compare(ticks, Course(DEFAULT_RULESET), Course(DOCUMENTED_RULESET))
    assert (found.left.asked, found.right.asked) == (["shop/a"], [])
    assert found.differ_from_seconds == 0.0
