from typing import Any

import msgspec
import pytest

from overbook_sandbox.demo.story import Story
from overbook_sandbox.demo.summary import (
    as_json,
    facts_of,
    headline,
    migrated,
    names,
    promises,
    sentences,
    table,
)
from tests.sandbox.test_story_synthetic import (
    bare_run,
    crashed_run,
    good_run,
    told,
    without_pace,
    wrong_pod_run,
)


def kept(lines: list[dict[str, Any]]) -> dict[str, bool]:
    return {promise.promise: promise.kept for promise in promises(facts_of(told(lines)))}


def test_a_good_run_passes_every_check() -> None:
    assert all(kept(good_run()).values())


def test_a_wrong_pod_fails_one_check_and_is_named() -> None:
    facts = facts_of(told(wrong_pod_run()))
    broken = [promise for promise in promises(facts) if not promise.kept]
    assert [promise.promise for promise in broken] == ["only vm-c left"]
    assert broken[0].seen == "web: killed by Overbook, 7.4 s after `wild` began"


def test_a_second_victim_fails_the_check() -> None:
    lines = [*good_run(), {"event": "gone", "at": 111.0, "pod": "web", "how": "killed by overbook"}]
    assert not kept(lines)["only vm-c left"]


def test_only_vms_swapped_is_claimed_only_where_it_is_true() -> None:
    assert "only vm-a, vm-b and vm-c swapped" in sentences([facts_of(told(good_run()))])[0]
    without = sentences([facts_of(told(bare_run()))])[0]
    assert "only" not in without
    assert "vm-paid, web and batch swapped" in without


def test_a_pod_that_must_not_swap_is_named() -> None:
    lines = good_run()
    for line in lines:
        if line["event"] == "sample" and line["at"] > 50:
            line["pods"]["web"]["swapBytes"] = 5 << 20
    facts = facts_of(told(lines))
    assert facts.swapped == ("vm-a", "vm-b", "vm-c", "web")
    seen = next(one.seen for one in promises(facts) if one.promise == "only Burstable VM pods swapped")
    assert seen == "vm-a, vm-b, vm-c and web; web should not have"


def test_a_run_without_swapping_proves_nothing() -> None:
    lines = good_run()
    for line in lines:
        for pod in line["pods"].values() if line["event"] == "sample" else ():
            pod["swapBytes"] = 0
    assert not kept(lines)["only Burstable VM pods swapped"]


def test_a_vm_that_left_before_the_wild_phase_did_not_fit() -> None:
    lines = [*bare_run(), {"event": "gone", "at": 50.0, "pod": "vm-b", "how": "killed by the kernel (OOM)"}]
    facts = facts_of(told(lines))
    assert facts.guests_fit is False
    assert facts.oom_kills == 3
    assert headline(facts).startswith("The VMs did not fit")


def test_a_crash_leaves_what_is_unknown_unknown() -> None:
    facts = facts_of(told(crashed_run(30.0)))
    assert (facts.complete, facts.guests_fit, facts.standstill_seconds) == (False, None, None)
    assert not any(
        promise.kept for promise in promises(facts) if promise.promise != "only Burstable VM pods swapped"
    )
    assert headline(facts).startswith("Not complete")


def test_times_count_from_the_start_of_the_wild_phase() -> None:
    facts = facts_of(told(good_run()))
    assert facts.decision_seconds == pytest.approx(2.2)
    assert facts.relief_seconds == pytest.approx(6.3)
    assert facts.departures[0].seconds_into_wild == pytest.approx(7.4)


def test_a_pods_end_is_attributed_to_what_ended_it() -> None:
    lines = [line | {"how": "ended"} if line["event"] == "gone" else line for line in good_run()]
    assert facts_of(told(lines)).departures[0].how == "ended by Overbook"
    unasked = [line for line in lines if line["event"] != "decision"]
    assert facts_of(told(unasked)).departures[0].how == "ended"


def test_a_vm_that_was_ended_was_not_migrated() -> None:
    moved = [
        line | {"how": "migrated to worker-2"} if line["event"] == "gone" else line for line in good_run()
    ]
    assert migrated(facts_of(told(moved))).kept
    assert kept(moved)["only vm-c left"]
    assert not migrated(facts_of(told(good_run()))).kept


def test_two_nodes_stand_side_by_side() -> None:
    text = table([facts_of(told(good_run())), facts_of(told(bare_run()))])
    assert max(map(len, text.splitlines())) <= 110
    row = next(line for line in text.splitlines() if line.startswith("killed by the kernel"))
    assert row.split()[-2:] == ["0", "2"]


def test_the_comparison_names_both_standstills() -> None:
    last = sentences([facts_of(told(good_run())), facts_of(told(bare_run()))])[-1]
    assert "0.5 s with Overbook and 28.3 s without" in last


@pytest.mark.parametrize("lines", [without_pace(good_run()), crashed_run(1.0), good_run()[:1]])
def test_missing_values_are_shown_as_missing(lines: list[dict[str, Any]]) -> None:
    facts = facts_of(told(lines))
    assert "not known" in table([facts])
    assert sentences([facts])
    assert headline(facts)


def test_an_empty_story_can_be_summed_up() -> None:
    facts = facts_of(Story(overbook=True))
    assert "not known" in table([facts])
    assert not any(promise.kept for promise in promises(facts))


def test_json_holds_the_same_facts() -> None:
    document = msgspec.json.decode(as_json([told(good_run()), told(bare_run())]))
    assert document["with"]["facts"]["reliefSeconds"] == pytest.approx(6.3)
    assert document["without"]["facts"]["oomKills"] == 2
    assert all(promise["kept"] for promise in document["with"]["promises"])
    assert len(document["sentences"]) == 5


def test_names_read_as_a_list() -> None:
    assert [names(many) for many in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
