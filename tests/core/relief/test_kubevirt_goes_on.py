"""KubeVirt never gives an evacuation back by itself, and says some things late: relief copes with both."""

from itertools import pairwise

import msgspec
import pytest

from overbook.core.relief.answer import EvictionAnswer, understood
from overbook.core.relief.case import MigrationLimits, Uncancelled
from tests.core.relief.relief_world import GI, START, World, candidate, migration, request

EVACUATING = EvictionAnswer("Evacuating", "Evacuation", "Eviction triggered evacuation of VMI")
ABORTED = "aborted"


def vms(*names: str, plain: str = "", **spec: object) -> World:
    """Return a world in which `n` requests relief: VMs first, then pods that are none."""
    world = World("n", "m", **spec)
    for name in names:
        world.pod(name, how="Migrated", is_vm=True, instance=f"shop/{name}", instance_node="n")
        world.answers[f"uid-{name}"] = EVACUATING
    for name in plain:
        world.pod(name)
    wanted = [candidate(name, virtual_machine=True) for name in names] + [candidate(name) for name in plain]
    world.change("n", request=request("r1", *wanted))
    return world


def mark(world: World, name: str, **changes: object) -> None:
    """Mark a VM for evacuation; what was seen of it before is forgotten, as time does not pass here."""
    known = world.pods[f"uid-{name}"]
    world.pods[f"uid-{name}"] = msgspec.structs.replace(known, evacuating=True, **changes)
    world.change("n", pods={})


def moves(world: World, name: str, phase: str, **state: str) -> None:
    world.migrations[name] = migration(
        name, phase, world.now, evacuates="n", rejected=False, sourcePod=name, **state
    )


def evicted(world: World) -> list[str]:
    return [uid.removeprefix("uid-") for _, uid in world.evicted]


@pytest.mark.parametrize("plain", ["", "b"])
@pytest.mark.parametrize(
    ("phase", "reason", "outcome"),
    [
        ("Failed", "MigrationFailed", "Failed"),
        ("Scheduling", "MigrationStalled", "GivenUp"),
        ("", "MigrationStalled", "GivenUp"),
    ],
)
def test_an_evacuation_that_is_given_up_is_cancelled(
    phase: str, reason: str, outcome: str, plain: str
) -> None:
    world = vms("a", plain=plain)
    world.settle()
    mark(world, "a")
    if phase:
        moves(world, "a", phase)
    world.settle(130)
    assert world.cancelled[0] == "uid-a"
    assert not world.pods["uid-a"].evacuating
    assert world.outcomes("n")[-1] == ("shop/a", outcome)
    assert any(
        (known.label, known.reason) == ("shop/a", reason) for r in world.records for known in r.refusals
    )
    stages = [record.stage for record in world.records]
    assert stages[:3] == ["Asking", "Migrating", "Migrating"]
    if plain:
        assert evicted(world)[1] == "b"
        given_up = [index for index, record in enumerate(world.records) if record.reason]
        next_one = [index for index, record in enumerate(world.records) if record.victim == "shop/b"]
        assert given_up[0] < next_one[0]


def test_a_migration_over_its_limit_is_cancelled_though_calm() -> None:
    world = vms("a", follow_seconds=60)
    world.settle()
    mark(world, "a")
    moves(world, "a", "Running")
    world.change("n", request=None, critical=False)
    world.settle(70)
    assert world.cancelled == ["uid-a"]
    assert world.outcomes("n") == [("shop/a", "GivenUp")]


@pytest.mark.parametrize("final", [True, False])
def test_an_evacuation_that_stays_is_named_with_its_remedy(final: bool) -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Failed", failureReason="stuck")
    world.uncancelled = Uncancelled("connection refused", is_final=final)
    world.settle(0 if final else 20)
    assert evicted(world) == ["a", "b"], "the node is not held up for ever"
    message = next(known.message for r in world.records for known in r.refusals)
    assert "stuck" in message
    assert "connection refused" in message
    assert "virtctl evacuate-cancel vmi a --namespace shop" in message


def test_a_success_while_it_is_cancelled_is_relief_enough() -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Running")
    world.uncancelled = Uncancelled("timeout")
    world.settle(127)
    while not world.record("n").reason:
        world.settle(1)
    moves(world, "a", "Succeeded", targetNode="m")
    world.settle(3)
    assert evicted(world) == ["a"]
    assert world.outcomes("n") == [("shop/a", "Migrated")]


def test_a_repetition_within_the_same_second_is_the_younger() -> None:
    world = vms("a")
    world.settle()
    mark(world, "a")
    for name, phase in (("z-first", "Failed"), ("a-repeated", "Pending")):
        world.migrations[name] = migration(
            name, phase, world.now, evacuates="n", rejected=False, sourcePod="a", failureReason="stuck"
        )
    world.settle(5)
    assert {record.migration for record in world.records} <= {"", "kubevirt-evacuation-z-first"}
    assert any("z-first failed: stuck" in record.message for record in world.records)


def test_retries_of_others_take_no_place() -> None:
    world = vms("c")
    world.limits = MigrationLimits(per_cluster=2, per_node=1)
    for name in ("x", "y"):
        moves(world, name, "Pending")
    world.settle(1)
    assert evicted(world) == ["c"]


def test_running_migrations_take_a_place() -> None:
    world = vms("c")
    world.limits = MigrationLimits(per_cluster=5, per_node=1)
    moves(world, "x", "Scheduling")
    world.settle(5)
    assert evicted(world) == []
    assert "live migrations away from n" in world.record("n").message


def test_a_migration_that_a_quota_rejects_is_given_up_at_once() -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    world.migrations["a"] = migration("a", "Pending", world.now, evacuates="n", rejected=True, sourcePod="a")
    world.settle(2)
    assert evicted(world) == ["a", "b"]
    assert world.cancelled == ["uid-a"]
    known = next(known for r in world.records for known in r.refusals)
    assert known.reason == "MigrationRejected"
    assert "migrationRejectedByResourceQuota" in known.message


@pytest.mark.parametrize("late", [True, False])
def test_the_reason_and_the_target_are_waited_for(late: bool) -> None:
    world = vms("a")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Failed")
    world.settle(1)
    assert world.record("n").stage == "Migrating"
    if late:
        moves(world, "a", "Failed", failureReason="the copy is stuck")
    world.settle(5)
    message = next(known.message for r in world.records for known in r.refusals)
    assert ("the copy is stuck" if late else "KubeVirt names no reason") in message


def test_the_vm_itself_says_why_and_where_first() -> None:
    world = vms("a")
    world.settle()
    mark(world, "a", migration_uid="m-1", migration_failure="the copy is stuck")
    moves(world, "a", "Failed")
    known = world.migrations["a"]
    world.migrations["a"] = msgspec.structs.replace(
        known, metadata=msgspec.structs.replace(known.metadata, uid="m-1")
    )
    world.settle()
    assert "the copy is stuck" in next(known.message for r in world.records for known in r.refusals)

    world = vms("a")
    world.settle()
    moves(world, "a", "Succeeded")
    world.pods["uid-a"] = msgspec.structs.replace(world.pods["uid-a"], presence="Gone", instance_node="m")
    world.change("n", pods={})
    world.settle()
    assert "was migrated to m" in world.record("n").message


@pytest.mark.parametrize("presence", ["Leaving", "Gone"])
def test_a_vm_deleted_while_it_migrates_is_leaving(presence: str) -> None:
    world = vms("a", plain="b")
    world.settle()
    moves(world, "a", "Failed")
    world.pod("a", presence=presence, instance="shop/a", instance_node="n", leaves_at=START + 60)
    world.settle(5)
    assert evicted(world) == ["a"]
    world.pods.pop("uid-a", None)
    world.settle(10)
    assert world.outcomes("n") == [("shop/a", "Gone")]
    assert evicted(world) == ["a"], "one pressure costs one pod"


def test_a_webhook_that_is_down_costs_one_vms_try() -> None:
    world = vms("a", "b", "c", plain="p")
    down = understood(
        500,
        "InternalError",
        'failed calling webhook "virt-launcher-eviction-interceptor.kubevirt.io": refused',
    )
    for name in "abc":
        world.answers[f"uid-{name}"] = down
    world.settle(2)
    assert evicted(world) == ["a", "p"]
    assert world.refusals("n") == [("shop/a", "WebhookFailed")]


def test_vms_are_tried_again_when_the_webhook_may_be_back() -> None:
    world = vms("a", "b")
    down = understood(500, "InternalError", 'failed calling webhook "x": refused')
    world.answers["uid-a"] = down
    world.settle(25)
    assert evicted(world) == ["a"]
    assert "webhook for evictions does not answer" in world.record("n").message
    world.answers["uid-a"] = EVACUATING
    world.settle(10)
    assert evicted(world) == ["a", "a"]
    assert world.record("n").stage == "Migrating"


def test_a_webhook_that_hangs_may_have_marked_the_vm() -> None:
    world = vms("a", plain="p")
    world.answers["uid-a"] = understood(500, "InternalError", 'failed calling webhook "x": deadline exceeded')
    mark_at_eviction(world, "a")
    assert evicted(world) == ["a"]
    assert world.record("n").stage == "Migrating"


def test_a_budget_may_refuse_after_kubevirt_marked_the_vm() -> None:
    world = vms("a", plain="p")
    world.answers["uid-a"] = EvictionAnswer("Refused", "DisruptionBudget", "needs 1 and has 1")
    mark_at_eviction(world, "a")
    assert evicted(world) == ["a"]
    assert world.record("n").stage == "Migrating"


def mark_at_eviction(world: World, name: str) -> None:
    """Let the eviction mark the VM, whatever its answer is."""
    while not world.evicted:
        for node, step in world.plan().items():
            world.perform(node, step)
    mark(world, name)
    world.settle(3)


def test_the_last_resort_deletes_no_vm_because_a_webhook_is_down() -> None:
    world = vms("a", last_resort="Delete")
    world.answers["uid-a"] = understood(500, "InternalError", 'failed calling webhook "x": refused')
    world.settle(200)
    assert world.deleted == []


def test_pods_that_ended_before_the_request_are_nobody() -> None:
    world = vms(plain="ab")
    world.pod("a", presence="Gone", ended_at=START - 10)
    world.settle(1)
    assert evicted(world) == ["b"]

    world = vms(plain="ab")
    world.pod("a", presence="Gone", ended_at=START + 0.5)
    world.settle(1)
    assert evicted(world) == [], "it has just released its memory"


def test_a_migration_of_others_is_followed_and_never_cancelled() -> None:
    world = vms("a", "b", plain="p")
    mark(world, "b")
    moves(world, "b", "Running")
    world.settle(100)
    assert evicted(world) == [], "b leaves already"
    assert (world.record("n").victim, world.record("n").joined) == ("shop/b", True)
    world.settle(60)
    assert world.cancelled == []
    assert evicted(world) == ["a"]
    assert ("shop/b", "MigrationStalled") in world.refusals("n")


def test_a_migration_of_others_that_ends_well_is_relief_enough() -> None:
    world = vms("a", "b")
    mark(world, "b")
    world.settle(5)
    moves(world, "b", "Succeeded", targetNode="m")
    world.settle(5)
    assert evicted(world) == []
    assert world.outcomes("n") == [("shop/b", "Migrated")]


def test_a_migration_of_others_that_always_fails_holds_nobody_up() -> None:
    world = vms("a", plain="p")
    mark(world, "a")
    world.migrations["old"] = migration("a", "Failed", START - 50, evacuates="n", sourcePod="a")
    moves(world, "a", "Pending")
    world.settle(1)
    assert evicted(world) == ["p"]
    assert world.refusals("n") == [("shop/a", "MigrationFailing")]


def test_a_plain_pod_that_others_evict_is_waited_for_a_while() -> None:
    world = vms(plain="ab", stall_seconds=30)
    world.pod("b", in_progress=True)
    world.settle(25)
    assert evicted(world) == []
    world.settle(10)
    assert evicted(world) == ["a"]


def test_a_small_pod_that_leaves_is_not_enough() -> None:
    world = vms(plain="ab")
    world.pod("b", presence="Leaving", leaves_at=START + 60)
    wanted = (candidate("a"), candidate("b", usage_bytes=GI // 100))
    world.change("n", request=request("r1", *wanted))
    world.settle(1)
    assert evicted(world) == ["a"]


def test_owners_wishes_decide_who_goes_last() -> None:
    world = vms(plain="abc")
    world.pod("a", goes_last=True)
    world.settle(1)
    assert evicted(world) == ["b"]

    world = vms(plain="a")
    world.pod("a", goes_last=True)
    world.settle(1)
    assert evicted(world) == ["a"], "last, not never"


def test_an_owner_that_agrees_is_not_spared() -> None:
    world = World("n", "m")
    world.pod("a")
    world.pod("b", agrees=True)
    world.answers["uid-a"] = EvictionAnswer("Refused", "DisruptionBudget", "no")
    world.change("n", request=request("r1", candidate("a", beyond_bytes=GI), candidate("b")))
    world.settle(2)
    assert evicted(world) == ["a", "b"]


def test_a_failure_is_seen_though_the_next_try_has_begun() -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Failed", failureReason="stuck")
    world.migrations["again"] = migration("a", "Pending", world.now + 2, evacuates="n", sourcePod="a")
    again = world.migrations["again"]
    renamed = msgspec.structs.replace(again.metadata, name="kubevirt-evacuation-again", uid="again")
    world.migrations["again"] = msgspec.structs.replace(again, metadata=renamed)
    world.settle(5)
    assert evicted(world) == ["a", "b"]
    assert world.cancelled == ["uid-a"]


def test_a_mark_that_others_set_again_holds_nobody_up() -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Failed", failureReason="stuck")
    for _ in range(20):
        world.settle(1)
        if "b" in evicted(world):
            break
        mark(world, "a")
    assert "b" in evicted(world)
    assert len(world.cancelled) < 12, "every two seconds, and not as fast as it can"


def test_stages_follow_each_other_once() -> None:
    world = vms("a", plain="b")
    world.settle()
    mark(world, "a")
    moves(world, "a", "Failed", failureReason="stuck")
    world.settle(5)
    stages = [record.stage for record in world.records if record.victim == "shop/a" and record.stage]
    assert stages[:1] == ["Asking"]
    assert all(before != after or before == "Migrating" for before, after in pairwise(stages))
