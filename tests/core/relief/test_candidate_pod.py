from typing import Any

import msgspec
import pytest

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubevirt.objects import MovableInstance
from overbook.core.relief.candidate_pod import ClusterDefaults, candidate_pod

DEFAULTS = ClusterDefaults(namespace="overbook", eviction_strategy="LiveMigrate")
OWNER = {
    "apiVersion": "kubevirt.io/v1",
    "kind": "VirtualMachineInstance",
    "name": "db",
    "uid": "vmi-1",
    "controller": True,
}


def pod(**metadata: Any) -> Pod:
    spec = metadata.pop("spec", {})
    status = metadata.pop("status", {"phase": "Running"})
    obj = {
        "metadata": {"name": "p", "namespace": "shop", "uid": "u", **metadata},
        "spec": {"nodeName": "n", **spec},
        "status": status,
    }
    return msgspec.convert(obj, Pod)


def vm(strategy: str | None = None, *, migratable: bool = True, **status: Any) -> MovableInstance:
    conditions = [{"type": "LiveMigratable", "status": "True" if migratable else "False"}]
    obj = {
        "metadata": {"name": "db", "namespace": "shop", "uid": "vmi-1"},
        "spec": {"evictionStrategy": strategy},
        "status": {"nodeName": "n", "conditions": conditions, "activePods": {"u": "n"}, **status},
    }
    return msgspec.convert(obj, MovableInstance)


def seen(
    found: Pod | None, instance: MovableInstance | None = None, defaults: ClusterDefaults = DEFAULTS
) -> Any:
    return candidate_pod("n", "u", found, instance, defaults, 1000.0)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (pod(spec={"nodeName": "n", "priority": 2_000_000_000}), "critical"),
        (pod(annotations={"kubernetes.io/config.mirror": "x"}), "mirror"),
        (pod(annotations={"kubernetes.io/config.source": "file"}), "static"),
        (pod(namespace="overbook", labels={"app.kubernetes.io/part-of": "overbook"}), "Overbook's own"),
        (pod(namespace="overbook-node", labels={"app.kubernetes.io/part-of": "overbook"}), "Overbook's own"),
        (pod(spec={"nodeName": "m"}), "runs on m, not on n"),
        (pod(spec={"nodeName": None}), "runs on no node yet"),
    ],
)
def test_a_pod_that_must_stay_has_a_reason(found: Pod, why: str) -> None:
    assert why in seen(found).obstacle


def test_a_label_alone_does_not_make_a_pod_overbooks_own() -> None:
    assert seen(pod(labels={"app.kubernetes.io/part-of": "overbook"})).obstacle == ""


def test_a_pod_is_gone_if_missing_replaced_or_ended() -> None:
    assert seen(None).presence == "Gone"
    assert seen(pod(uid="another")).presence == "Gone"
    assert seen(pod(status={"phase": "Succeeded"})).presence == "Gone"
    assert seen(pod(deletionTimestamp="2026-11-22T10:00:00Z")).presence == "Leaving"
    assert seen(pod()).presence == "Here"


@pytest.mark.parametrize(
    ("strategy", "migratable", "default", "how"),
    [
        ("LiveMigrate", True, "None", "Migrated"),
        ("LiveMigrate", False, "None", "Migrated"),  # refused by the webhook; never restarted
        ("LiveMigrateIfPossible", True, "None", "Migrated"),
        ("LiveMigrateIfPossible", False, "None", "Restarted"),
        ("External", True, "None", "Migrated"),
        ("None", True, "LiveMigrate", "Restarted"),
        (None, True, "LiveMigrate", "Migrated"),
        (None, True, "None", "Restarted"),
    ],
)
def test_a_vm_leaves_by_its_own_strategy_else_the_clusters(
    strategy: str | None, migratable: bool, default: str, how: str
) -> None:
    instance = vm(strategy, migratable=migratable)
    assert seen(pod(ownerReferences=[OWNER]), instance, ClusterDefaults("overbook", default)).how == how


def test_a_pod_that_only_claims_to_be_a_vms_is_none() -> None:
    mine = pod(ownerReferences=[OWNER])
    assert seen(mine, None).how == "Evicted"
    assert seen(mine, vm(activePods={"other": "n"})).how == "Evicted"
    assert seen(pod(), vm()).how == "Evicted"
    assert seen(mine, vm(activePods=None)).how == "Migrated"


def test_a_migrated_vm_shows_where_it_runs() -> None:
    moved = vm(nodeName="m")
    assert seen(pod(ownerReferences=[OWNER]), moved).instance_node == "m"


def test_the_ended_source_of_a_migration_shows_where_its_vm_runs() -> None:
    ended = pod(ownerReferences=[OWNER], status={"phase": "Succeeded"})
    found = seen(ended, vm(nodeName="m", activePods={"target": "m"}))
    assert (found.presence, found.instance_node) == ("Gone", "m")


@pytest.mark.parametrize(("node", "evacuating"), [("n", True), ("m", False), (None, False)])
def test_only_an_evacuation_of_this_node_counts(node: str | None, evacuating: bool) -> None:
    assert seen(pod(ownerReferences=[OWNER]), vm(evacuationNodeName=node)).evacuating is evacuating


def test_a_vm_says_why_its_last_migration_failed() -> None:
    state = {"migrationUid": "m-1", "failed": True, "failureReason": "stuck"}
    found = seen(pod(ownerReferences=[OWNER]), vm(migrationState=state))
    assert (found.migration_uid, found.migration_failure) == ("m-1", "stuck")


def test_an_ended_pod_says_since_when() -> None:
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": "1970-01-01T00:10:00Z"}
    found = seen(pod(status={"phase": "Succeeded", "conditions": [ready]}))
    assert (found.presence, found.ended_at) == ("Gone", 600.0)
    assert seen(pod(status={"phase": "Failed"})).ended_at is None


@pytest.mark.parametrize(
    ("wishes", "goes_last", "agrees", "in_progress"),
    [
        ((), False, False, False),
        (("prefer-no-eviction",), True, False, False),
        (("prefer-no-eviction", "evict"), False, True, False),
        (("eviction-in-progress",), False, False, True),
    ],
)
def test_the_deschedulers_annotations_are_read(
    wishes: tuple[str, ...], goes_last: bool, agrees: bool, in_progress: bool
) -> None:
    annotations = {f"descheduler.alpha.kubernetes.io/{wish}": "" for wish in wishes}
    found = seen(pod(annotations=annotations))
    assert (found.goes_last, found.agrees, found.in_progress) == (goes_last, agrees, in_progress)
