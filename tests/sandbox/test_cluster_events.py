from typing import Any

import msgspec

from overbook.core.api.overcommit_node import DecisionRecord, OvercommitNodeStatus, ReliefRecord
from overbook.kube.api.objects import Node, NodeCondition, NodeSpec, NodeStatus, Taint
from overbook_sandbox.demo.cluster_events import (
    Sampler,
    Seen,
    SeenPod,
    events,
    held_bytes,
    left,
    node_signs,
    seen_pod,
)
from overbook_sandbox.demo.story import AnyEvent, DecisionEvent, Gone, StepEvent
from overbook_sandbox.kubevirt.documents import KubeVirtDocument
from overbook_sandbox.node.kubernetes_messages import ContainerReading, NodeReading, Work

GUEST = SeenPod("vm-c", "virt-launcher-vm-c-x7kqp", node="worker-1", phase="Running")
TARGET = SeenPod("vm-c", "virt-launcher-vm-c-9d2ff", node="worker-2", phase="Running", is_target=True)
UNPLACED = "0/2 nodes are available: 1 node(s) had untolerated taint(s)."


def told(before: Seen, now: Seen) -> list[AnyEvent]:
    return list(events(before, now, 10.0, "worker-1"))


def sentences(before: Seen, now: Seen) -> list[str]:
    return [event.sentence for event in told(before, now) if isinstance(event, StepEvent)]


def document(**fields: Any) -> KubeVirtDocument:
    return msgspec.convert(fields, KubeVirtDocument)


def test_an_unchanged_state_gives_no_event() -> None:
    seen = Seen(
        tainted=True,
        condition=("True", "all work stalls"),
        status=OvercommitNodeStatus(decisions=(DecisionRecord("1", "", "relieve", "x"),)),
        pods={"1": GUEST},
        migrations={"m": "Running"},
    )
    assert told(seen, seen) == []


def test_decisions_come_in_order_and_name_the_vm_not_its_pod() -> None:
    first = DecisionRecord("1", "", "reclaim", "swapping out memory")
    second = DecisionRecord("2", "", "relieve", "vm-c goes", victim=f"demo/{GUEST.name}")
    before = Seen(pods={"1": GUEST})
    now = before._replace(status=OvercommitNodeStatus(decisions=(second, first)))
    assert told(before, now) == [
        DecisionEvent(at=10.0, action="reclaim", sentence="swapping out memory"),
        DecisionEvent(at=10.0, action="relieve", sentence="vm-c goes", victim="demo/vm-c"),
    ]


def test_taint_and_condition_are_shown_when_they_come_and_go() -> None:
    calm = Seen(condition=("False", ""))
    trouble = Seen(tainted=True, condition=("True", "all work stalls"))
    assert sentences(calm, trouble) == [
        "worker-1 is tainted overbook.dev/memory-pressure: the scheduler places no more pods there",
        "condition OvercommitPressure of worker-1 is True: all work stalls",
    ]
    assert sentences(trouble, calm) == [
        "worker-1 is no longer tainted: the scheduler may use it again",
        "condition OvercommitPressure of worker-1 is False",
    ]


def test_a_first_condition_that_all_is_well_is_no_event() -> None:
    assert sentences(Seen(), Seen(condition=("False", ""))) == []


def test_stages_of_relief_and_migration_are_shown_once() -> None:
    asking = Seen(status=OvercommitNodeStatus(relief=ReliefRecord(stage="Asking", message="demo/vm-c")))
    migrating = Seen(status=OvercommitNodeStatus(relief=ReliefRecord(stage="Migrating")))
    migrating = migrating._replace(migrations={"evacuation-1": "Running"})
    assert sentences(Seen(), asking) == ["the controller evicts a pod: demo/vm-c"]
    assert sentences(asking, migrating) == [
        "KubeVirt answers the eviction with a live migration",
        "live migration evacuation-1: Running",
    ]


def test_a_held_back_pod_has_the_schedulers_words_then_its_node() -> None:
    held = Seen(pods={"9": SeenPod("late", "late", waits=UNPLACED)})
    runs = Seen(pods={"9": SeenPod("late", "late", node="worker-1", phase="Running")})
    assert sentences(Seen(), held) == [f"the scheduler cannot place late: {UNPLACED}"]
    assert sentences(held, runs) == ["the scheduler places late on worker-1", "late runs on worker-1"]


def test_a_migrated_vm_is_gone_from_its_node_and_not_lost() -> None:
    before = Seen(pods={"1": GUEST, "2": TARGET})
    assert told(before, before._replace(pods={"2": TARGET})) == [
        Gone(at=10.0, pod="vm-c", how="migrated to worker-2")
    ]


def test_a_pods_end_is_explained_as_far_as_it_is_known() -> None:
    evicted = GUEST._replace(phase="Failed", reason="Evicted")
    for later, how in (
        ({"1": evicted}, "ended by the kubelet (Evicted)"),
        ({"1": GUEST._replace(phase="Failed")}, "failed"),
        ({}, "ended"),
    ):
        assert told(Seen(pods={"1": GUEST}), Seen(pods=later)) == [Gone(at=10.0, pod="vm-c", how=how)]


def test_a_migrating_vm_is_not_shown_where_it_is_not_yet() -> None:
    assert sentences(Seen(), Seen(pods={"2": TARGET})) == [
        "the scheduler places the target pod of vm-c on worker-2",
        "vm-c has a running target pod on worker-2",
    ]


def test_a_pod_has_left_when_only_its_sandbox_holds_memory() -> None:
    ending = {"1": GUEST._replace(is_ending=True)}
    large = {"a": container(memory_swap_current_bytes=300 << 20), "sandbox": container()}
    assert held_bytes({"a": container(swap_cached_bytes=3), "b": container(swap_cached_bytes=99)}) == 12 + 10
    assert list(left(sample(1.0, pods={"1": large}), ending)) == []
    assert list(left(sample(1.0, pods={"1": {"sandbox": container()}}), ending)) == list(ending.values())
    assert list(left(sample(1.0), ending)) == list(ending.values())
    assert list(left(sample(1.0), {"1": GUEST})) == []


def test_the_end_of_a_pod_elsewhere_is_no_event_of_this_node() -> None:
    assert told(Seen(pods={"2": TARGET}), Seen()) == []


def test_pods_are_read_from_the_api() -> None:
    waiting = document(
        metadata={"name": "late"},
        status={
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": UNPLACED}],
        },
    )
    assert seen_pod(waiting) == SeenPod("late", "late", waits=UNPLACED)
    launcher = document(
        metadata={
            "name": TARGET.name,
            "annotations": {"kubevirt.io/domain": "vm-c"},
            "labels": {"kubevirt.io/migrationJobUID": "7"},
        },
        spec={"nodeName": "worker-2"},
        status={"phase": "Running"},
    )
    assert seen_pod(launcher) == TARGET


def test_a_nodes_taint_and_condition_are_read() -> None:
    taint = Taint(key="overbook.dev/memory-pressure", effect="NoSchedule")
    condition = NodeCondition(type="OvercommitPressure", status="True", message="all work stalls")
    node = Node(spec=NodeSpec(taints=(taint,)), status=NodeStatus(conditions=(condition,)))
    assert node_signs(node) == (True, ("True", "all work stalls"))
    assert node_signs(Node()) == (False, None)


def sample(at: float, **fields: Any) -> NodeReading:
    known: dict[str, Any] = {
        "mem_total_bytes": 1 << 30,
        "mem_available_bytes": 1 << 29,
        "swap_total_bytes": 1 << 29,
        "swap_free_bytes": 1 << 28,
        "swapped_in_pages": 0,
        "swapped_out_pages": 0,
        "full_stall_micros": 0,
        "pods": {},
    }
    return NodeReading(at=at, **{**known, **fields})


def container(**fields: Any) -> ContainerReading:
    return ContainerReading(**{"memory_current_bytes": 10, "memory_swap_current_bytes": 5, **fields})


def test_rates_are_means_between_two_samples() -> None:
    sampler, pods = Sampler(), {"1": SeenPod("vm-paid", "p")}

    def work(units: int, at: float) -> Any:
        return {"1": {"a": container(work=Work(units, at))}}

    first = sampler.sample(sample(100.0, pods=work(50, 99.9)), 1.0, pods)
    assert (first.pace, first.stall_full_percent, first.swap_used_bytes) == (None, None, 1 << 28)
    later = sample(
        102.0, pods=work(70, 101.5), swapped_in_pages=200, swapped_out_pages=400, full_stall_micros=500_000
    )
    second = sampler.sample(later, 3.0, pods)
    assert (second.swap_in_pages_per_second, second.swap_out_pages_per_second) == (100, 200)
    assert (second.stall_full_percent, second.pace, second.gap_seconds) == (25, 10, 0.5)


def test_a_pods_containers_count_together_without_its_sandbox() -> None:
    containers = {"a": container(memory_swap_max_bytes=80), "sandbox": container()}
    found = Sampler().sample(sample(1.0, pods={"1": containers, "other": containers}), 0.0, {"1": GUEST})
    assert list(found.pods) == ["vm-c"]
    pod = found.pods["vm-c"]
    assert (pod.memory_bytes, pod.swap_bytes, pod.swap_max_bytes) == (20, 5, 80)
    cached = {"a": container(swap_cached_bytes=3, memory_swap_max_bytes=80), "sandbox": container()}
    held = Sampler().sample(sample(1.0, pods={"1": cached}), 0.0, {"1": GUEST}).pods["vm-c"].held_bytes
    assert held == 10 + 10 + 5 - 3  # what is in the swap cache is in memory and in swap
    unlimited = {"a": container(memory_swap_current_bytes=70), "sandbox": container()}
    assert (
        Sampler().sample(sample(1.0, pods={"1": unlimited}), 0.0, {"1": GUEST}).pods["vm-c"].swap_bytes == 70
    )
