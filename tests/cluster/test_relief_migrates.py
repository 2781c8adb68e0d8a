"""The controller works with KubeVirt's eviction webhook: some VMs are migrated, some restarted."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.api.overcommit_node import ReliefCandidate
from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.documents import INSTANCES, MIGRATIONS
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster import relief_cluster
from tests.cluster.guests import machine, start
from tests.cluster.relief_cluster import ControllerProcess, controller, make_pod, pod_exists, report
from tests.cluster.sync_client import eviction_of, get, get_list
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def running(
    cluster: ControlPlane,
    installed: Installation,  # noqa: ARG001 - the controller has the rights that are shipped
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControllerProcess]:
    """The controller starts before KubeVirt is there, and has to notice KubeVirt."""
    relief_cluster.configure(cluster, coolDownSeconds=1, stallSeconds=15, perCluster=50)
    kubeconfig = relief_cluster.controllers_kubeconfig(cluster)
    with controller(kubeconfig, tmp_path_factory.mktemp("controller")) as process:
        wait_for(lambda: process.get("/readyz")[0] == 200, "the controller is ready")
        yield process


@pytest.fixture
def kubevirt_after_it(running: ControllerProcess, kubevirt: KubeVirtStandIn) -> KubeVirtStandIn:
    """KubeVirt, once the controller knows of it."""
    wait_for(lambda: "KubeVirt is installed" in running.log.read_text(), "the controller notices KubeVirt")
    return kubevirt


def candidate_of(pod: dict[str, Any]) -> ReliefCandidate:
    meta = pod["metadata"]
    return ReliefCandidate(
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        virtual_machine=True,
        over_request_bytes=1,
        usage_bytes=2**30,
    )


def calm(cluster: ControlPlane, node: str) -> None:
    """Report a calm node, and wait until the begun relief is over."""
    report(cluster, node, state="None")
    relief_cluster.wait_for_stage(cluster, node, None)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_vm_is_live_migrated_and_followed_to_its_end(cluster: ControlPlane, namespace: str) -> None:
    instance, pod = start(cluster, machine("db", migration_seconds="2"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    report(cluster, node, guest, request_id=f"{namespace}-1")
    following = relief_cluster.wait_for_stage(cluster, node, "Migrating")
    assert following.how == "Migrated"
    wait_for(lambda: relief_cluster.outcomes(cluster, node), "an outcome")
    known = relief_cluster.record(cluster, node).outcomes[0]
    assert (known.victim, known.outcome) == (guest.label, "Migrated")
    assert "kubevirt-evacuation-" in known.message
    moved = get(cluster, INSTANCES, "db", namespace)
    assert moved["status"]["nodeName"] != node
    assert moved["metadata"]["uid"] == instance["metadata"]["uid"], "it has run all the time"
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_vm_without_a_strategy_is_restarted_not_migrated(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("db", strategy="None"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    report(cluster, node, guest, request_id=f"{namespace}-1")
    wait_for(lambda: (guest.label, "Restarted") in relief_cluster.outcomes(cluster, node), "it is restarted")
    assert not pod_exists(cluster, guest)
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_vm_refused_by_the_webhook_is_passed_over(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("db", strategy="LiveMigrate", live_migratable="False"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    other = make_pod(cluster, namespace, "other", node)
    report(cluster, node, guest, other, request_id=f"{namespace}-1")
    wait_for(lambda: not pod_exists(cluster, other), "the next goes")
    refusals = relief_cluster.record(cluster, node).refusals
    assert [(each.label, each.reason) for each in refusals] == [(guest.label, "Denied")]
    assert "not live-migratable" in refusals[0].message
    assert pod_exists(cluster, guest)
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_failed_migration_is_reported_and_the_next_pod_leaves(
    cluster: ControlPlane, namespace: str
) -> None:
    _, pod = start(cluster, machine("db", migration_outcome="Failed"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    other = make_pod(cluster, namespace, "other", node)
    report(cluster, node, guest, other, request_id=f"{namespace}-1")
    wait_for(lambda: not pod_exists(cluster, other), "the next goes")
    known = relief_cluster.record(cluster, node)
    assert [(each.label, each.reason) for each in known.refusals] == [(guest.label, "MigrationFailed")]
    assert "has been aborted" in known.refusals[0].message, "the reason comes with a second write"
    assert_not_evacuated(cluster, namespace, "db")
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_stalled_migration_frees_its_place_if_critical(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("db", migration_outcome="Stalled"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    other = make_pod(cluster, namespace, "other", node)
    report(cluster, node, guest, other, request_id=f"{namespace}-1")
    wait_for(lambda: not pod_exists(cluster, other), "the next goes", seconds=120)
    refusals = relief_cluster.record(cluster, node).refusals
    assert [(each.label, each.reason) for each in refusals] == [(guest.label, "MigrationStalled")]
    assert pod_exists(cluster, guest)
    assert_not_evacuated(cluster, namespace, "db")
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_guests_whose_migrations_fail_hold_up_nobody_behind(cluster: ControlPlane, namespace: str) -> None:
    pinned = json.dumps({"nodeName": "hollow-1"})
    failing = [
        start(cluster, machine(name, migration_outcome="Failed", pod_spec=pinned), namespace)[1]
        for name in ("f1", "f2")
    ]
    _, good = start(cluster, machine("good", pod_spec=pinned), namespace)
    guests = [candidate_of(pod) for pod in (*failing, good)]
    report(cluster, "hollow-1", *guests, request_id=f"{namespace}-1")
    began = time.monotonic()
    moved = (guests[2].label, "Migrated")
    wait_for(lambda: moved in relief_cluster.outcomes(cluster, "hollow-1"), "the third is migrated")
    assert time.monotonic() - began < 45, "150 to 200 s when retries took the places"
    for name in ("f1", "f2"):
        assert_not_evacuated(cluster, namespace, name)
    calm(cluster, "hollow-1")


def test_virt_api_down_costs_one_vms_try(
    cluster: ControlPlane, namespace: str, kubevirt_after_it: KubeVirtStandIn
) -> None:
    pinned = json.dumps({"nodeName": "hollow-1"})
    pods = [start(cluster, machine(name, pod_spec=pinned), namespace)[1] for name in ("a", "b", "c")]
    plain = make_pod(cluster, namespace, "plain", "hollow-1")
    kubevirt_after_it.outage.api = "Refuses"
    try:
        began = time.monotonic()
        guests = [candidate_of(pod) for pod in pods]
        report(cluster, "hollow-1", *guests, plain, request_id=f"{namespace}-1")
        wait_for(lambda: not pod_exists(cluster, plain), "the plain pod leaves")
        assert time.monotonic() - began < 10
        refusals = relief_cluster.record(cluster, "hollow-1").refusals
        assert [(each.label, each.reason) for each in refusals] == [(guests[0].label, "WebhookFailed")]
    finally:
        kubevirt_after_it.outage.api = ""
    calm(cluster, "hollow-1")


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_vm_deleted_while_it_migrates_has_left(cluster: ControlPlane, namespace: str) -> None:
    _, pod = start(cluster, machine("db", migration_outcome="Stalled"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    other = make_pod(cluster, namespace, "other", node)
    report(cluster, node, guest, other, request_id=f"{namespace}-1")
    relief_cluster.wait_for_stage(cluster, node, "Migrating")
    cluster.kubectl("delete", "vmi", "db", f"--namespace={namespace}", "--wait=false")
    wait_for(lambda: relief_cluster.outcomes(cluster, node)[:1] == [(guest.label, "Gone")], "it has left")
    assert not relief_cluster.record(cluster, node).refusals
    calm(cluster, node)


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_migration_that_a_descheduler_began_is_enough(cluster: ControlPlane, namespace: str) -> None:
    pinned = json.dumps({"nodeName": "hollow-1"})
    _, first = start(cluster, machine("first", pod_spec=pinned), namespace)
    _, evicted = start(cluster, machine("second", migration_seconds="4", pod_spec=pinned), namespace)
    assert eviction_of(cluster, evicted) is not None
    report(cluster, "hollow-1", candidate_of(first), candidate_of(evicted), request_id=f"{namespace}-1")
    moved = (candidate_of(evicted).label, "Migrated")
    wait_for(lambda: moved in relief_cluster.outcomes(cluster, "hollow-1"), "it is followed to its end")
    calm(cluster, "hollow-1")
    status = get(cluster, INSTANCES, "first", namespace)["status"]
    assert status["nodeName"] == "hollow-1"
    assert "evacuationNodeName" not in status, "one pressure costs one pod"


def test_a_vm_given_up_while_kubevirt_was_down_stays(
    cluster: ControlPlane, namespace: str, kubevirt_after_it: KubeVirtStandIn
) -> None:
    _, pod = start(cluster, machine("db"), namespace)
    node, guest = pod["spec"]["nodeName"], candidate_of(pod)
    other = make_pod(cluster, namespace, "other", node)
    kubevirt_after_it.outage.controller = True
    try:
        report(cluster, node, guest, other, request_id=f"{namespace}-1")
        wait_for(lambda: not pod_exists(cluster, other), "the next goes", seconds=120)
    finally:
        kubevirt_after_it.outage.controller = False
    calm(cluster, node)
    assert_not_evacuated(cluster, namespace, "db")
    assert get(cluster, INSTANCES, "db", namespace)["status"]["nodeName"] == node


@pytest.mark.usefixtures("kubevirt_after_it")
def test_a_pod_whose_owner_prefers_that_leaves_last(cluster: ControlPlane, namespace: str) -> None:
    wish = {"descheduler.alpha.kubernetes.io/prefer-no-eviction": "true"}
    first = make_pod(cluster, namespace, "first", "hollow-1", annotations=wish)
    other = make_pod(cluster, namespace, "other", "hollow-1")
    report(cluster, "hollow-1", first, other, request_id=f"{namespace}-1")
    wait_for(lambda: not pod_exists(cluster, other), "the other leaves")
    assert pod_exists(cluster, first)
    calm(cluster, "hollow-1")


def assert_not_evacuated(cluster: ControlPlane, namespace: str, name: str) -> None:
    """Assert that KubeVirt does not try to migrate a VM any more."""
    assert "evacuationNodeName" not in get(cluster, INSTANCES, name, namespace)["status"]
    moving = [
        each["status"].get("phase")
        for each in get_list(cluster, MIGRATIONS, namespace)
        if each["spec"]["vmiName"] == name
    ]
    assert set(moving) <= {"Failed"}
