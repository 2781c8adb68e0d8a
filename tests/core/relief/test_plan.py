"""One node is relieved: which pod is evicted, how each answer is taken, and when relief is over."""

import msgspec
import pytest

from overbook.core.api.overcommit_node import ReliefRequest
from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.candidate_pod import CandidatePod
from overbook.core.relief.case import Evict, Look, MigrationLimits, Write
from tests.core.relief.relief_world import World, candidate, migration, request

BUDGET = EvictionAnswer("Refused", "DisruptionBudget", "needs 2 healthy pods and has 2 currently")
EVACUATING = EvictionAnswer("Evacuating", "Evacuation", 'Eviction triggered evacuation of VMI "shop/a"')


def asking(*names: str, **spec: object) -> World:
    """Return a world in which ``n``, beside ``m``, requests relief of one of these pods."""
    world = World("n", "m", **spec)
    for name in names:
        world.pod(name)
    world.change("n", request=request("r1", *map(candidate, names)))
    return world


def migrating(**spec: object) -> World:
    """Return a world in which the VM ``a`` was evicted, and KubeVirt began a migration."""
    world = asking("a", "b", **spec)
    world.pod("a", how="Migrated", instance="shop/a", instance_node="n")
    world.answers["uid-a"] = EVACUATING
    world.settle()
    assert world.record("n").stage == "Migrating"
    return world


def test_the_victim_is_recorded_before_it_is_evicted() -> None:
    world = asking("a")
    steps = []
    while not isinstance(step := world.plan()["n"], Evict):
        steps.append(type(step))
        world.perform("n", step)
    assert steps == [Look, Write]
    assert world.record("n").stage == "Asking"
    assert world.record("n").victim_uid == step.uid == "uid-a"
    assert world.evicted == []


def test_an_eviction_is_followed_to_its_end_and_effect() -> None:
    world = asking("a", "b")
    world.settle(30)
    assert world.evicted == [("n", "uid-a")]
    assert world.record("n").stage == "Ending"
    del world.pods["uid-a"]
    world.settle(3)
    assert world.record("n").stage == "CoolingDown"
    assert world.outcomes("n") == [("shop/a", "Evicted")]
    world.settle(120)
    assert world.record("n").stage is None
    assert world.evicted == [("n", "uid-a")], "no second pod leaves for the same request"


def test_a_decision_after_the_cool_down_gets_another_pod() -> None:
    world = asking("a", "b")
    world.settle()
    del world.pods["uid-a"]
    world.settle(3)
    world.change("n", request=request("r2", candidate("b"), at=world.now))
    world.settle(50)
    assert len(world.evicted) == 1
    world.settle(15)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-b")]


def test_a_restarted_agent_gets_no_second_pod_while_one_leaves() -> None:
    world = asking("a", "b")
    world.settle(5)
    world.change("n", request=request("r2", candidate("b"), candidate("a")))
    world.settle(60)
    assert world.evicted == [("n", "uid-a")]


def test_a_begun_relief_is_followed_after_the_pressure_ended() -> None:
    world = asking("a", "b")
    world.settle(5)
    world.change("n", request=None)
    world.settle(30)
    assert world.record("n").stage == "Ending"
    del world.pods["uid-a"]
    world.settle(90)
    assert world.outcomes("n") == [("shop/a", "Evicted")]
    assert world.record("n").stage is None


@pytest.mark.parametrize("reason", ["DisruptionBudget", "Denied", "MoreThanOneDisruptionBudget"])
def test_a_refusal_is_recorded_and_the_next_pod_is_evicted(reason: str) -> None:
    world = asking("a", "b")
    world.answers["uid-a"] = EvictionAnswer("Refused", reason, "no")
    world.settle(5)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-b")]
    assert world.refusals("n") == [("shop/a", reason)]


def test_a_refused_pod_may_be_tried_again_after_a_pause() -> None:
    world = asking("a", "b")
    world.answers = {"uid-a": BUDGET, "uid-b": BUDGET}
    world.settle(5)
    assert world.record("n").stage == "Refused"
    assert world.record("n").message == "all 2 candidates were refused"
    world.answers = {}
    world.settle(50)
    assert len(world.evicted) == 2
    world.settle(15)
    assert world.evicted[2:] == [("n", "uid-a")]


def test_a_new_candidate_does_not_wait_for_the_pause() -> None:
    world = asking("a")
    world.answers["uid-a"] = BUDGET
    world.settle(5)
    world.pod("c")
    world.change("n", request=request("r1", candidate("a"), candidate("c")))
    world.settle(1)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-c")]
    assert world.refusals("n") == [("shop/a", "DisruptionBudget")]


def test_the_last_resort_needs_its_setting_and_critical_pressure() -> None:
    for last_resort, critical, deleted in (
        ("None", True, []),
        ("Delete", False, []),
        ("Delete", True, ["uid-a"]),
    ):
        world = asking("a", "b", last_resort=last_resort)
        world.change("n", critical=critical)
        world.answers = {"uid-a": BUDGET, "uid-b": BUDGET}
        world.settle(55)
        assert world.deleted == []
        world.settle(10)
        assert world.deleted == deleted, last_resort


def test_a_deleted_pod_is_recorded_as_deleted() -> None:
    world = asking("a", last_resort="Delete")
    world.answers["uid-a"] = BUDGET
    world.settle(70)
    del world.pods["uid-a"]
    world.settle(5)
    assert world.outcomes("n") == [("shop/a", "Deleted")]


def test_a_servers_retry_time_is_obeyed_and_no_other_pod_evicted() -> None:
    world = asking("a", "b")
    world.answers["uid-a"] = EvictionAnswer("Later", "TooManyRequests", "too many requests", 20.0)
    world.settle(19)
    assert world.evicted == [("n", "uid-a")]
    assert world.record("n").stage == "Waiting"
    del world.answers["uid-a"]
    world.settle(3)
    assert world.evicted == [("n", "uid-a")] * 2
    assert world.refusals("n") == []


def test_an_unanswered_eviction_is_retried_for_the_same_pod() -> None:
    world = asking("a", "b")
    world.answers["uid-a"] = EvictionAnswer("Unknown", "NoAnswer", "connection reset")
    world.settle(60)
    assert set(world.evicted) == {("n", "uid-a")}
    assert 3 <= len(world.evicted) <= 10
    assert world.record("n").stage == "Asking"


def test_a_pod_without_an_answer_is_passed_over_if_it_stays() -> None:
    world = asking("a", "b", stall_seconds=30)
    world.answers["uid-a"] = EvictionAnswer("Unknown", "InternalError", "failed calling webhook")
    world.settle(60)
    assert world.refusals("n") == [("shop/a", "NoAnswer")]
    assert world.evicted[-1] == ("n", "uid-b")


def test_a_pod_that_leaves_without_an_answer_is_followed() -> None:
    world = asking("a", "b", stall_seconds=30)
    world.answers["uid-a"] = EvictionAnswer("Unknown", "NoAnswer", "connection reset")
    world.settle(20)
    world.pod("a", presence="Leaving", leaves_at=world.now + 30)
    world.settle(25)
    assert world.record("n").stage == "Ending"
    assert set(world.evicted) == {("n", "uid-a")}


def test_a_pod_that_left_by_itself_is_relief_enough() -> None:
    world = asking("a", "b")
    del world.pods["uid-a"]
    world.settle(5)
    assert world.evicted == []
    assert world.outcomes("n") == [("shop/a", "Gone")]
    assert world.record("n").stage == "CoolingDown"


def test_a_pod_already_ending_is_awaited_unless_stuck() -> None:
    world = asking("a", "b")
    world.pod("a", presence="Leaving", leaves_at=world.now + 10)
    world.settle(35)
    assert world.evicted == []
    world.settle(10)
    assert world.evicted == [("n", "uid-b")]
    assert world.refusals("n") == [("shop/a", "StillEnding")]


def test_an_excluded_pod_is_never_evicted() -> None:
    world = asking("a", "b")
    world.pod("a", obstacle="critical, static or mirror pod")
    world.settle(5)
    assert world.evicted == [("n", "uid-b")]
    assert world.refusals("n") == [("shop/a", "Excluded")]


def test_a_vm_evicted_without_a_migration_is_restarted() -> None:
    world = asking("a")
    world.pod("a", how="Restarted", instance="shop/a", instance_node="n")
    world.settle(5)
    assert world.record("n").how == "Restarted"
    assert "its VM is restarted" in world.record("n").message
    del world.pods["uid-a"]
    world.settle(5)
    assert world.outcomes("n") == [("shop/a", "Restarted")]


def test_a_live_migration_is_followed_and_not_repeated() -> None:
    world = migrating()
    world.settle(5)
    world.migrations["a"] = migration("a", "Running", world.now, sourcePod="a", sourceNode="n")
    world.settle(5)
    assert world.record("n").migration == "kubevirt-evacuation-a"
    world.migrations["a"] = migration("a", "Succeeded", world.now, sourcePod="a", targetNode="m")
    world.settle()
    assert world.outcomes("n") == [("shop/a", "Migrated")]
    assert "to m" in world.record("n").message
    assert world.evicted == [("n", "uid-a")]


def test_a_failed_migration_is_recorded_and_the_next_pod_leaves() -> None:
    world = migrating()
    world.migrations["a"] = migration("a", "Failed", world.now, sourcePod="a", failureReason="no room")
    world.settle(5)
    assert world.outcomes("n") == [("shop/a", "Failed")]
    assert world.refusals("n") == [("shop/a", "MigrationFailed")]
    assert world.evicted == [("n", "uid-a"), ("n", "uid-b")]


@pytest.mark.parametrize("critical", [True, False])
def test_a_stalled_migration_frees_its_place_only_if_critical(critical: bool) -> None:
    world = migrating()
    world.change("n", critical=critical)
    world.migrations["a"] = migration("a", "Scheduling", world.now)
    world.settle(110)
    assert world.record("n").stage == "Migrating"
    world.settle(20)
    if critical:
        assert world.refusals("n") == [("shop/a", "MigrationStalled")]
        assert world.evicted[-1] == ("n", "uid-b")
    else:
        assert world.record("n").stage == "Migrating"


def test_sending_memory_in_its_expected_time_is_no_stall() -> None:
    world = migrating()
    expected = msgspec.structs.replace(world.record("n"), expected_seconds=300)
    world.change("n", record=expected)
    world.migrations["a"] = migration("a", "Running", world.now, sourcePod="a")
    world.settle(400)
    assert world.record("n").stage == "Migrating"
    world.settle(30)
    assert world.refusals("n") == [("shop/a", "MigrationStalled")]


def test_a_migration_is_given_up_after_the_limit() -> None:
    world = migrating(follow_seconds=60)
    world.migrations["a"] = migration("a", "Running", world.now, sourcePod="a")
    world.settle(65)
    assert world.outcomes("n")[-1] == ("shop/a", "GivenUp")
    assert world.refusals("n") == [("shop/a", "MigrationGivenUp")]


def test_a_stalled_migration_that_succeeds_is_relief_enough() -> None:
    world = migrating()
    world.limits = MigrationLimits(per_node=1)
    world.pod("b", how="Migrated", instance="shop/b", instance_node="n")
    world.migrations["a"] = migration("a", "Running", world.now, sourcePod="a", sourceNode="n")
    world.settle(150)
    assert world.evicted == [("n", "uid-a")]  # no place for a second migration away from n
    world.migrations["a"] = migration("a", "Succeeded", world.now, sourcePod="a", sourceNode="n")
    world.settle(100)
    assert world.evicted == [("n", "uid-a")]
    assert ("shop/a", "Migrated") in world.outcomes("n")


def test_a_pod_without_migration_may_follow_a_stalled_one() -> None:
    world = migrating()
    world.limits = MigrationLimits(per_node=1)
    world.pod("b", how="Migrated", instance="shop/b", instance_node="n")
    world.pod("c")
    world.change("n", request=request("r1", *map(candidate, "abc")))
    world.migrations["a"] = migration("a", "Running", world.now, sourcePod="a", sourceNode="n")
    world.settle(150)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-c")]


def test_a_vm_is_migrated_only_if_it_runs_elsewhere() -> None:
    for elsewhere, outcome in (("m", "Migrated"), ("n", "Gone"), ("", "Gone")):
        world = migrating()
        world.pod("a", presence="Gone", instance="shop/a", instance_node=elsewhere)
        world.settle(5)
        assert world.outcomes("n") == [("shop/a", outcome)]


def test_no_migration_starts_without_another_node_for_the_vm() -> None:
    world = asking("a")
    world.pod("a", how="Migrated", instance="shop/a")
    world.destinations = frozenset({"n"})
    world.settle(5)
    assert world.evicted == []
    assert world.refusals("n") == [("shop/a", "NoDestination")]


@pytest.mark.parametrize("why", ["relief is paused", "the mode is Observe"])
def test_a_held_back_relief_starts_nothing_and_names_its_pod(why: str) -> None:
    world = asking("a")
    world.held_back = why
    world.settle(30)
    assert world.evicted == []
    assert world.record("n").stage == "Waiting"
    assert world.record("n").message == f"{why}; shop/a would be evicted"
    assert len(world.records) == 1, "written once"
    world.held_back = ""
    world.settle()
    assert world.evicted == [("n", "uid-a")]


def test_a_begun_relief_is_followed_while_paused() -> None:
    world = asking("a")
    world.settle(5)
    world.held_back = "relief is paused"
    del world.pods["uid-a"]
    world.settle(5)
    assert world.outcomes("n") == [("shop/a", "Evicted")]


def test_no_relief_starts_for_a_stopped_or_observing_agent() -> None:
    for changes in ({"stale": True}, {"observes": True}):
        world = asking("a")
        world.change("n", **changes)
        world.settle(30)
        assert world.evicted == []


@pytest.mark.parametrize("presence", ["Here", "Leaving", "Gone"])
def test_a_recorded_victim_is_not_evicted_after_the_pressure(presence: str) -> None:
    world = asking("a")
    while not isinstance(world.plan()["n"], Evict):
        world.perform("n", world.plan()["n"])
    world.change("n", request=None, pods={})  # the leader died here
    world.pods["uid-a"] = CandidatePod(presence, world.now)  # type: ignore[arg-type]  # drawn from the literals
    world.settle(5)
    assert world.evicted == []
    assert world.record("n").stage == {"Here": None, "Leaving": "Ending", "Gone": "CoolingDown"}[presence]


def test_a_record_of_a_clock_that_was_ahead_ends_as_well() -> None:
    world = asking("a", "b")
    world.now += 10 * 86_400
    world.settle(5)
    del world.pods["uid-a"]
    world.settle(5)
    assert world.record("n").stage == "CoolingDown"
    world.now -= 10 * 86_400
    world.settle(65)
    assert world.record("n").stage is None


def test_many_candidates_without_hope_come_to_rest() -> None:
    world = asking(*(f"p{number}" for number in range(20)))
    world.answers = dict.fromkeys(world.pods, BUDGET)
    world.settle(5)
    assert world.record("n").stage == "Refused"
    assert len(world.record("n").refusals) == 20


def test_a_request_without_candidates_is_recorded_as_such() -> None:
    world = World("n", "m")
    world.change("n", request=ReliefRequest(id="r", decided_at="2026-01-01T00:00:00Z"))
    world.settle(5)
    assert world.record("n").stage == "Refused"
    assert world.record("n").message == "no candidate may be evicted"
