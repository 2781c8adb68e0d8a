"""The controller works with KubeVirt's eviction webhook: some VMs are migrated, some restarted."""

from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.api.overcommit_node import ReliefCandidate
from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.documents import INSTANCES
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster import relief_cluster
from tests.cluster.guests import machine, start
from tests.cluster.relief_cluster import ControllerProcess, controller, make_pod, pod_exists, report
from tests.cluster.sync_client import get
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
    assert "could not be copied" in known.refusals[0].message
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
    calm(cluster, node)
