"""Unknown is not "none": no stall, and no eviction of another pod, is decided from what was not read."""

import random

import pytest

from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.case import MigrationLimits
from overbook.core.relief.choose import WITHIN_PATIENCE_SECONDS
from overbook.core.relief.record import counted_from
from tests.core.relief.relief_world import World, candidate, migration, request

BUDGET = EvictionAnswer("Refused", "DisruptionBudget", "needs 2 healthy pods and has 2 currently")
EVACUATING = EvictionAnswer("Evacuating", "Evacuation", 'Eviction triggered evacuation of VMI "shop/a"')


def migrating() -> World:
    """Return a world in which the VM ``a`` is live-migrated from ``n``, whose pressure stays critical."""
    world = World("n", "m")
    world.pod("a", how="Migrated", is_vm=True, instance="shop/a", instance_node="n")
    world.pod("b")
    world.change("n", request=request("r1", candidate("a"), candidate("b")))
    world.answers["uid-a"] = EVACUATING
    world.settle()
    assert world.record("n").stage == "Migrating"
    return world


def refusing(*names: str) -> World:
    """Return a world in which ``a`` is beyond its covered memory and refuses, and the others are within."""
    world = World("n", "m")
    world.answers["uid-a"] = BUDGET
    for name in ("a", *names):
        world.pod(name)
    others = [candidate(name) for name in names]
    world.change("n", request=request("r1", candidate("a", beyond_bytes=2**30), *others))
    return world


@pytest.mark.parametrize("known", [True, False])
def test_a_new_leader_calls_no_unread_migration_stalled(known: bool) -> None:
    world = migrating()
    world.now += 300
    world.limits, world.migrations_silent, world.kubevirt_known = None, None, known
    world.settle(60)
    assert world.evicted == [("n", "uid-a")]
    assert world.record("n").stage == "Migrating"


def test_a_migration_is_given_up_only_when_it_was_heard_of() -> None:
    world = migrating()
    world.limits, world.migrations_silent = None, None
    world.settle(700, every=5.0)
    assert world.record("n").stage == "Migrating"
    world.migrations_silent = 0.0
    world.settle(5)
    assert world.evicted[-1] == ("n", "uid-b")


def test_silence_of_the_migrations_watch_is_no_stall() -> None:
    world = migrating()
    world.migrations["a"] = migration("a", "Scheduling", world.now)
    for _ in range(40):
        world.now += 5
        world.migrations_silent = (world.migrations_silent or 0.0) + 5
        world.settle()
    assert world.record("n").stage == "Migrating", "what became of it in 200 s was not heard"
    world.migrations_silent = 0.0
    world.settle(1)
    assert world.refusals("n") == [("shop/a", "MigrationStalled")]


def test_a_clock_that_was_behind_makes_no_stall() -> None:
    world = migrating()
    world.now += 900  # the next leader's clock is right
    world.change("n", record=counted_from(world.record("n"), world.now - 30))
    world.settle(60)
    assert world.evicted == [("n", "uid-a")]
    assert world.record("n").stage == "Migrating"
    world.settle(60)
    assert world.refusals("n") == [("shop/a", "MigrationStalled")], "one that really stands still is found"


@pytest.mark.parametrize("ahead", [-600.0, -90.0, 90.0, 600.0])
def test_a_clock_apart_from_kubevirts_makes_no_stall(ahead: float) -> None:
    world = migrating()
    world.now += 10
    seen = migration("a", "Running", world.now - ahead)
    world.migrations["a"], world.phase_seen = seen, {"shop/kubevirt-evacuation-a": world.now}
    world.settle(100)
    assert world.record("n").stage == "Migrating"
    world.settle(60)
    assert world.refusals("n") == [("shop/a", "MigrationStalled")], "one that really stands still is found"


def test_a_vm_waits_until_kubevirt_is_known() -> None:
    world = World("n", "m")
    world.pod("a", is_vm=True)
    world.pod("b")
    world.change("n", request=request("r1", candidate("a"), candidate("b")))
    world.kubevirt_known, world.limits = False, None
    world.settle(30)
    assert world.evicted == []
    assert "KubeVirt" in world.record("n").message
    world.kubevirt_known = True
    world.settle(1)
    assert world.evicted == [("n", "uid-a")]


def test_a_plain_pod_does_not_wait_for_kubevirt() -> None:
    world = World("n", "m")
    world.pod("a")
    world.change("n", request=request("r1", candidate("a")))
    world.kubevirt_known, world.limits = False, None
    world.settle(1)
    assert world.evicted == [("n", "uid-a")]


def test_an_owners_budget_sends_no_neighbour_away_within_seconds() -> None:
    world = refusing("b")
    world.settle(WITHIN_PATIENCE_SECONDS - 1)
    assert world.evicted == [("n", "uid-a")]
    assert world.record("n").stage == "Waiting"
    assert "shop/a is beyond its covered memory" in world.record("n").message
    world.settle(3)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-b")]
    asked = next(record for record in world.records if record.victim == "shop/b" and record.stage == "Asking")
    assert "shop/a is beyond its covered memory and does not leave (DisruptionBudget)" in asked.message


def test_another_pod_beyond_its_memory_is_asked_at_once() -> None:
    world = refusing("b")
    known = world.cases["n"].request
    assert known is not None
    first, last = known.candidates
    world.pod("c")
    guilty = candidate("c", beyond_bytes=2**20)
    world.change("n", request=request("r1", first, guilty, last))
    world.settle(1)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-c")]


def test_pods_within_go_at_once_where_none_is_beyond() -> None:
    world = World("n", "m")
    world.answers["uid-a"] = BUDGET
    for name in "ab":
        world.pod(name)
    world.change("n", request=request("r1", candidate("a"), candidate("b")))
    world.settle(1)
    assert world.evicted == [("n", "uid-a"), ("n", "uid-b")]


@pytest.mark.parametrize("seed", range(60))
def test_one_pressure_never_costs_two_pods(seed: int) -> None:
    """Whatever is missing, late, failing or started again: one pod leaves, or is still leaving."""
    chance = random.Random(seed)
    world = migrating()
    world.migrations["a"] = migration("a", "Running", world.now)
    for _ in range(100):
        world.now += chance.uniform(0.5, 6)
        heard = chance.random() < 0.6
        world.kubevirt_known = heard or chance.random() < 0.5
        world.limits = MigrationLimits() if heard else None
        world.migrations_silent = 0.0 if heard else chance.choice([None, 400.0])
        if heard:
            world.migrations["a"] = migration("a", "Running", world.now)  # it goes on sending
        if chance.random() < 0.1:
            world.change("n", pods={}, answer=None)  # another leader, which has fetched nothing yet
        world.settle()
    assert world.evicted == [("n", "uid-a")]


def test_a_held_back_record_is_written_once_for_all_orders() -> None:
    world = World("n", "m")
    world.held_back = "the mode is Observe"
    first, second, third = candidate("a"), candidate("b"), candidate("c")
    world.change("n", request=request("r1", first, second))
    world.settle(1)
    assert "shop/a would be evicted" in world.record("n").message
    for order in ((second, first), (third, second, first), (first, third)):
        world.change("n", request=request("r1", *order))
        world.settle(5)
    assert len(world.records) == 1
    world.change("n", request=request("r1", third, second))
    world.settle(5)
    assert "shop/c would be evicted" in world.record("n").message


def test_budgets_on_everything_cost_few_requests_and_no_pod() -> None:
    world = World("n", "m", cool_down_seconds=60)
    names = "abcdefgh"
    for name in names:
        world.pod(name)
        world.answers[f"uid-{name}"] = BUDGET
    world.change("n", request=request("r1", *map(candidate, names)))
    world.settle(3600)
    assert world.deleted == []
    assert world.outcomes("n") == []
    rounds = 3600 / 60 + 1
    assert len(world.evicted) <= rounds * len(names)
    assert len(world.records) <= rounds * (2 * len(names) + 2)
    assert world.under_way() == []
