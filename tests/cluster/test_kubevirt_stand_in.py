import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.documents import INSTANCES, MIGRATIONS
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster.guests import machine, pods_of, seen, start
from tests.cluster.sync_client import create, eviction_of, get, get_list
from tests.waiting import wait_for

pytestmark = pytest.mark.usefixtures("kubevirt")

DENIED = 'admission webhook "virt-launcher-eviction-interceptor.kubevirt.io" denied the request: '
IN_PROGRESS = "descheduler.alpha.kubernetes.io/eviction-in-progress"


@pytest.fixture
def one_at_a_time(kubevirt: KubeVirtStandIn) -> Iterator[None]:
    limits = {"parallelMigrationsPerCluster": 1, "parallelOutboundMigrationsPerNode": 1}
    kubevirt.configure({"evictionStrategy": "LiveMigrate", "migrations": limits})
    yield
    kubevirt.configure({"evictionStrategy": "LiveMigrate"})


def migration_of(cluster: ControlPlane, namespace: str, name: str) -> Any:
    listed = get_list(cluster, MIGRATIONS, namespace)
    return next((each for each in listed if each["spec"]["vmiName"] == name), None)


def ended_migration_of(cluster: ControlPlane, namespace: str, name: str) -> Any:
    def ended() -> Any:
        for found in get_list(cluster, MIGRATIONS, namespace):
            state = found.get("status", {}).get("migrationState", {})
            if found["spec"]["vmiName"] == name and state.get("endTimestamp"):  # comes with a second write
                return found
        return None

    return wait_for(ended, f"the migration of {name} is over")


def only_running_pod(cluster: ControlPlane, instance: Any) -> Any:
    """Return the VM's pod that has not ended, if there is only one; ended pods stay."""
    left = [pod for pod in pods_of(cluster, instance) if pod["status"]["phase"] != "Succeeded"]
    return left[0] if len(left) == 1 else None


def test_a_launcher_pod_is_what_kubevirt_makes(cluster: ControlPlane, namespace: str) -> None:
    instance, pod = start(cluster, machine("database", memory="4Gi"), namespace)
    owner = pod["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["controller"]) == ("VirtualMachineInstance", True)
    assert owner["uid"] == pod["metadata"]["labels"]["kubevirt.io/created-by"] == instance["metadata"]["uid"]
    assert pod["metadata"]["labels"]["kubevirt.io"] == "virt-launcher"
    assert pod["metadata"]["annotations"]["kubevirt.io/domain"] == "database"
    assert pod["spec"]["containers"][0]["name"] == "compute"
    requests = pod["spec"]["containers"][0]["resources"]["requests"]
    assert int(requests["memory"]) == 4 * 1024**3 + int(
        pod["metadata"]["annotations"]["kubevirt.io/memory-overhead-bytes"]
    )


def test_an_eviction_becomes_a_migration_to_another_node(cluster: ControlPlane, namespace: str) -> None:
    instance, pod = start(cluster, machine("database", migration_outcome="Stalled"), namespace)
    source = pod["spec"]["nodeName"]

    refusal = eviction_of(cluster, pod)
    assert refusal is not None
    assert refusal.status == 429
    triggered = f'Eviction triggered evacuation of VMI "{namespace}/database"'
    assert refusal.message == f"{DENIED}{triggered}"
    again = eviction_of(cluster, pod)
    assert again is not None
    assert again.message == f"{DENIED}Evacuation in progress: {triggered}"

    wait_for(
        lambda: IN_PROGRESS in (pods_of(cluster, instance)[0]["metadata"].get("annotations") or {}),
        "the pod says that it is being evicted",
    )
    migration = wait_for(lambda: migration_of(cluster, namespace, "database"), "a migration")
    assert migration["metadata"]["name"].startswith("kubevirt-evacuation-")
    assert migration["metadata"]["annotations"]["kubevirt.io/evacuationMigration"] == source
    outcome = "sandbox.overbook.dev/migration-outcome=Succeeded"
    cluster.kubectl("annotate", "vmi", "database", f"--namespace={namespace}", "--overwrite", outcome)
    migration = ended_migration_of(cluster, namespace, "database")
    phases = [each["phase"] for each in migration["status"]["phaseTransitionTimestamps"]]
    assert phases == [
        *("Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running", "Succeeded")
    ]
    state = migration["status"]["migrationState"]
    assert (state["sourceNode"], state["sourcePod"]) == (source, pod["metadata"]["name"])

    moved = get(cluster, INSTANCES, "database", namespace)
    assert moved["status"]["nodeName"] == state["targetNode"] != source
    assert "evacuationNodeName" not in moved["status"]
    target = wait_for(lambda: only_running_pod(cluster, instance), "the source pod has ended")
    assert target["spec"]["nodeName"] == state["targetNode"]
    assert target["metadata"]["labels"]["kubevirt.io/migrationJobUID"] == migration["metadata"]["uid"]
    assert target["spec"]["containers"][0]["resources"] == pod["spec"]["containers"][0]["resources"]
    assert get(cluster, INSTANCES, "database", namespace)["status"]["phase"] == "Running"


def test_a_dry_run_gives_the_answer_and_moves_nothing(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("database"), namespace)
    refusal = eviction_of(cluster, pod, dry_run=True)
    assert refusal is not None
    assert refusal.message.endswith(f'Eviction triggered evacuation of VMI "{namespace}/database"')
    assert "evacuationNodeName" not in get(cluster, INSTANCES, "database", namespace)["status"]


def test_a_vm_that_cannot_migrate_stays(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("database", live_migratable="False"), namespace)
    refusal = eviction_of(cluster, pod)
    assert refusal is not None
    assert refusal.status == 429
    assert refusal.message.endswith(
        "VMI database is configured with an eviction strategy but is not live-migratable"
    )


def test_strategy_none_means_that_the_vm_ends(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("database", strategy="None"), namespace)
    assert eviction_of(cluster, pod) is None

    def failed() -> bool:
        return bool(get(cluster, INSTANCES, "database", namespace)["status"]["phase"] == "Failed")

    wait_for(failed, "the machine has ended")


def test_a_hotplugged_disk_is_not_evicted_from_under_its_vm(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("database"), namespace)
    meta = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]}
    hotplug = create(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "hp-volume-1",
                "labels": {"kubevirt.io": "hotplug-disk"},
                "ownerReferences": [owner],
            },
            "spec": {"containers": [{"name": "disk", "image": "none"}]},
        },
        namespace,
    )
    refusal = eviction_of(cluster, hotplug)
    assert refusal is not None
    denied = DENIED.replace("virt-launcher-eviction", "hotplug-pod-eviction")
    assert refusal.message.startswith(f"{denied}cannot evict hotplug pod: hp-volume-1")


def test_a_failed_migration_leaves_the_vm_marked(cluster: ControlPlane, namespace: str) -> None:
    instance, pod = start(cluster, machine("database", migration_outcome="Failed"), namespace)
    assert eviction_of(cluster, pod) is not None
    migration = ended_migration_of(cluster, namespace, "database")
    found = get(cluster, INSTANCES, "database", namespace)
    assert migration["status"]["phase"] == "Failed", seen(cluster, namespace)
    assert found["status"]["nodeName"] == found["status"]["evacuationNodeName"] == pod["spec"]["nodeName"]
    left = wait_for(lambda: only_running_pod(cluster, instance), "the target pod has ended")
    assert left["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_target_pod_has_the_percentage_of_its_moment(
    cluster: ControlPlane, kubevirt: KubeVirtStandIn, namespace: str
) -> None:
    instance, pod = start(cluster, machine("database", memory="4Gi"), namespace)
    kubevirt.configure(
        {"evictionStrategy": "LiveMigrate", "developerConfiguration": {"memoryOvercommit": 200}}
    )
    try:
        assert eviction_of(cluster, pod) is not None
        ended_migration_of(cluster, namespace, "database")
        target = wait_for(lambda: only_running_pod(cluster, instance), "it has moved")
    finally:
        kubevirt.configure({"evictionStrategy": "LiveMigrate"})
    before, after = (
        int(each["spec"]["containers"][0]["resources"]["requests"]["memory"]) for each in (pod, target)
    )
    assert before - after == 2 * 2**30


@pytest.mark.usefixtures("one_at_a_time")
def test_limits_hold_and_a_deleted_vm_frees_its_place(cluster: ControlPlane, namespace: str) -> None:
    spec = json.dumps({"nodeName": "hollow-1"})
    _, stalled = start(cluster, machine("first", migration_outcome="Stalled", pod_spec=spec), namespace)
    _, waiting = start(cluster, machine("second", pod_spec=spec), namespace)
    assert eviction_of(cluster, stalled) is not None
    first = wait_for(lambda: migration_of(cluster, namespace, "first"), "the first migration")
    wait_for(  # two that wait would be served by their names
        lambda: migration_of(cluster, namespace, "first").get("status", {}).get("phase") == "Running",
        "it is under way",
    )
    assert eviction_of(cluster, waiting) is not None
    second = wait_for(lambda: migration_of(cluster, namespace, "second"), "the second migration")
    assert second.get("status", {}).get("phase", "Pending") == "Pending", seen(cluster, namespace)
    assert get(cluster, INSTANCES, "second", namespace)["status"]["nodeName"] == "hollow-1"
    deleted_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    cluster.kubectl("delete", "vmi", "first", f"--namespace={namespace}", "--wait=false")
    status = ended_migration_of(cluster, namespace, "second")["status"]
    assert status["phase"] == "Succeeded"
    times = {each["phase"]: each["phaseTransitionTimestamp"] for each in status["phaseTransitionTimestamps"]}
    assert times["Scheduling"] >= deleted_at  # it had no place before
    assert first["metadata"]["name"].startswith("kubevirt-evacuation-")
