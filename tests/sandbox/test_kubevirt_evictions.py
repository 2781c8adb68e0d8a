from typing import Any

import pytest

from overbook_sandbox.kubevirt.documents import KubeVirtDocument, KubeVirtMetadata
from overbook_sandbox.kubevirt.eviction import ALLOWED, ReviewAnswer, about_hotplug, about_launcher

TRIGGERED = 'Eviction triggered evacuation of VMI "shop/database"'
NOT_MIGRATABLE = "VMI database is configured with an eviction strategy but is not live-migratable"


def machine(strategy: str | None, *, migratable: bool = True, **status: Any) -> KubeVirtDocument:
    conditions = [{"type": "LiveMigratable", "status": str(migratable)}]
    return KubeVirtDocument(
        metadata=KubeVirtMetadata(name="database", namespace="shop"),
        spec={} if strategy is None else {"evictionStrategy": strategy},
        status={"nodeName": "one", "conditions": conditions, **status},
    )


def launcher(node: str = "one") -> KubeVirtDocument:
    return KubeVirtDocument(
        metadata=KubeVirtMetadata(name="virt-launcher-database-x", namespace="shop"), spec={"nodeName": node}
    )


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible", "External"])
def test_the_first_eviction_marks_the_vm(strategy: str) -> None:
    assert about_launcher(launcher(), machine(strategy), None) == ReviewAnswer(TRIGGERED, mark_node="one")


@pytest.mark.parametrize("strategy", ["LiveMigrate", "LiveMigrateIfPossible", "External"])
@pytest.mark.parametrize("node", ["one", "two"])
def test_a_marked_vm_is_migrating(strategy: str, node: str) -> None:
    instance = machine(strategy, evacuationNodeName="one")
    assert about_launcher(launcher(node), instance, None) == ReviewAnswer(
        f"Evacuation in progress: {TRIGGERED}"
    )


@pytest.mark.parametrize(
    ("strategy", "answer"),
    [
        ("LiveMigrate", ReviewAnswer(NOT_MIGRATABLE)),
        ("LiveMigrateIfPossible", ALLOWED),
        ("External", ReviewAnswer(TRIGGERED, mark_node="one")),
        ("None", ALLOWED),
    ],
)
def test_a_vm_that_cannot_migrate_is_answered_by_its_strategy(strategy: str, answer: ReviewAnswer) -> None:
    assert about_launcher(launcher(), machine(strategy, migratable=False), None) == answer


@pytest.mark.parametrize("cluster_strategy", [None, "None"])
def test_a_pod_without_a_strategy_may_be_evicted(cluster_strategy: str | None) -> None:
    assert about_launcher(launcher(), machine(None), cluster_strategy) == ALLOWED


def test_the_clusters_strategy_counts_for_vms_without_one() -> None:
    assert about_launcher(launcher(), machine(None), "LiveMigrate").mark_node == "one"
    assert about_launcher(launcher(), machine("None"), "LiveMigrate") == ALLOWED


def test_the_target_of_a_migration_is_not_evicted() -> None:
    assert about_launcher(launcher("two"), machine("LiveMigrate"), None) == ReviewAnswer(
        "Eviction request for target Pod"
    )


def test_a_hotplugged_disk_stays_with_its_vm() -> None:
    pod = KubeVirtDocument(metadata=KubeVirtMetadata(name="hp-volume-x", namespace="shop"))
    assert about_hotplug(pod, None) == ALLOWED
    assert about_hotplug(pod, machine(None)).denial == (
        "cannot evict hotplug pod: hp-volume-x associated with running vmi: database in namespace shop"
    )
