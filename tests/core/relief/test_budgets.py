"""Many nodes request relief at once: which get a place, in which order, and within KubeVirt's limits."""

import random

import msgspec

from overbook.core.relief.answer import EvictionAnswer
from overbook.core.relief.case import MigrationLimits
from overbook.core.relief.plan import plan
from tests.core.relief.relief_world import START, World, candidate, migration, request


def crowd(count: int, **spec: object) -> World:
    """Return a world of nodes that all request relief, the later the higher their number."""
    world = World(*(f"n{number:03}" for number in range(count)), **spec)
    for number, name in enumerate(world.cases):
        world.pod(f"p-{name}")
        world.change(name, request=request(f"r-{name}", candidate(f"p-{name}"), at=START - 1000 + number))
    return world


def leave(world: World, node: str) -> None:
    del world.pods[f"uid-p-{node}"]


def test_reliefs_under_way_stay_within_the_clusters_budget() -> None:
    world = crowd(40, per_cluster=5)
    world.settle(10)
    assert world.under_way() == [f"n{number:03}" for number in range(5)]
    assert {world.record(f"n{number:03}").stage for number in range(5, 40)} == {"Waiting"}
    assert "limit of 5 reliefs" in world.record("n010").message


def test_a_free_place_goes_to_the_node_that_waited_longest() -> None:
    world = crowd(10, per_cluster=2)
    world.settle(5)
    leave(world, "n001")
    world.settle(5)
    assert world.under_way() == ["n000", "n002"]


def test_critical_nodes_come_first() -> None:
    world = crowd(10, per_cluster=2)
    for name in world.cases:
        world.change(name, critical=name in ("n007", "n008"))
    world.settle(5)
    assert world.under_way() == ["n007", "n008"]


def test_nodes_of_a_cluster_of_500_are_served_in_their_order() -> None:
    world = crowd(500, per_cluster=50, cool_down_seconds=3600)
    for _ in range(10):
        world.settle()
        for name in world.under_way():
            leave(world, name)
        world.now += 3
    world.settle()
    assert [node for node, _ in world.evicted] == list(world.cases)


def test_a_node_whose_reliefs_fail_starves_no_other() -> None:
    world = crowd(6, per_cluster=1, follow_seconds=30, cool_down_seconds=10)
    # No pod ever leaves: each relief is given up, and the next node has its turn.
    world.settle(6 * 35)
    assert [node for node, _ in world.evicted][:6] == list(world.cases)


def test_waiting_is_recorded_once() -> None:
    world = crowd(20, per_cluster=1)
    world.settle(20)
    written = len(world.records)
    world.settle(20)
    assert len(world.records) == written


def test_no_relief_starts_without_a_place() -> None:
    world = crowd(3, per_cluster=0)
    world.settle(5)
    assert world.evicted == []


def vms(count: int, limits: MigrationLimits | None) -> World:
    world = crowd(count, per_cluster=100)
    for name in world.cases:
        world.pod(f"p-{name}", how="Migrated", instance=f"shop/vm-{name}", instance_node=name)
        world.answers[f"uid-p-{name}"] = EvictionAnswer(
            "Evacuating", "Evacuation", "Eviction triggered evacuation"
        )
    world.limits = limits
    return world


def test_kubevirts_limit_counts_running_and_pending_migrations() -> None:
    world = vms(10, MigrationLimits(per_cluster=5, per_node=2))
    world.migrations = {name: migration(name, "Running", START, sourceNode="x") for name in ("o1", "o2")}
    world.migrations["over"] = migration("over", "Succeeded", START)
    world.settle()
    assert world.under_way() == ["n000", "n001", "n002"]
    assert "KubeVirt's limit of 5" in world.record("n003").message


def test_kubevirts_limit_per_node_counts_foreign_migrations() -> None:
    world = vms(2, MigrationLimits(per_cluster=5, per_node=1))
    world.migrations["o"] = migration("o", "Running", START, sourceNode="n000")
    world.settle()
    assert world.under_way() == ["n001"]
    world.migrations["o"] = migration("o", "Succeeded", START, sourceNode="n000")
    world.settle()
    assert world.under_way() == ["n000", "n001"]


def test_an_eviction_does_not_wait_for_a_migrations_place() -> None:
    world = vms(3, MigrationLimits(per_cluster=0))
    world.pod("p-n002")
    world.answers.clear()
    world.settle()
    assert world.under_way() == ["n002"]


def test_no_vm_migrates_before_kubevirts_limits_are_known() -> None:
    world = vms(2, None)
    world.settle(5)
    assert world.under_way() == []
    assert world.record("n000").message == "KubeVirt's limits are not known yet"


def test_the_plan_does_not_depend_on_the_order_of_its_arguments() -> None:
    world = crowd(50, per_cluster=7)
    plain = world.plan()
    cases = list(world.cases.values())
    random.Random(1).shuffle(cases)
    assert plan(cases, world.cluster(), world.now) == plain


def test_a_lowered_limit_stops_no_relief_under_way() -> None:
    world = crowd(10, per_cluster=5)
    world.settle()
    world.spec = msgspec.structs.replace(world.spec, per_cluster=2)
    world.settle(20)
    assert len(world.under_way()) == 5
    for name in world.under_way()[:3]:
        leave(world, name)
    world.settle(5)
    assert len(world.under_way()) == 2
