"""Guests' sizes on the real API server, with KubeVirt's stand-in: by VMs, whatever their pods request."""

import json
import time
from collections.abc import Iterator

import pytest

from overbook.status.namespace import namespace_status
from overbook.status.pod import pod_status
from overbook.status.read import ClusterReader
from overbook.status.sums import NO_PODS, PodSums
from overbook_sandbox.cluster.control_plane import ControlPlane
from overbook_sandbox.kubevirt.stand_in import KubeVirtStandIn
from tests.cluster.guests import machine, pods_of, start
from tests.cluster.sync_client import ask, eviction_of
from tests.waiting import wait_for

GI = 2**30


@pytest.fixture
def half_as_much_again(kubevirt: KubeVirtStandIn) -> Iterator[KubeVirtStandIn]:
    """KubeVirt makes pods at 150 %."""
    configure(kubevirt, 150)
    yield kubevirt
    kubevirt.configure({"evictionStrategy": "LiveMigrate"})


def configure(kubevirt: KubeVirtStandIn, percent: int) -> None:
    developer = {"memoryOvercommit": percent}
    kubevirt.configure({"evictionStrategy": "LiveMigrate", "developerConfiguration": developer})


def sums(cluster: ControlPlane) -> PodSums:
    """Return the sums of all nodes."""
    _, views = ask(cluster.kubeconfig, lambda client: ClusterReader(client).cluster([], "", time.time()))
    total = NO_PODS
    for view in views:
        total += view.sums or NO_PODS
    return total


def test_guests_are_what_their_vms_say_at_every_percentage(
    cluster: ControlPlane, namespace: str, half_as_much_again: KubeVirtStandIn
) -> None:
    before = sums(cluster)
    by_hand = machine("by-hand", memory="4Gi", migration_outcome="Stalled")
    by_hand["spec"]["domain"]["resources"] = {"requests": {"memory": "1Gi"}}
    moving, source = start(cluster, by_hand, namespace)
    start(cluster, machine("plain", memory="6Gi"), namespace)

    def added() -> tuple[int, int]:
        now = sums(cluster)
        return (
            now.virtual_machines - before.virtual_machines,
            now.guest_bytes - before.guest_bytes,
        )

    assert added() == (2, 10 * GI)
    configure(half_as_much_again, 200)  # and nothing is restarted
    assert added() == (2, 10 * GI)
    assert eviction_of(cluster, source) is not None
    wait_for(lambda: len(pods_of(cluster, moving)) == 2, "there is a target pod as well")
    assert added() == (2, 10 * GI)
    report = ask(cluster.kubeconfig, lambda client: namespace_status(ClusterReader(client), namespace))
    assert (report.sums.virtual_machines, report.sums.guest_bytes) == (2, 10 * GI)
    outcome = json.dumps(
        {"metadata": {"annotations": {"sandbox.overbook.dev/migration-outcome": "Succeeded"}}}
    )
    cluster.kubectl(
        "patch", "vmi", "by-hand", f"--namespace={namespace}", "--type=merge", f"--patch={outcome}"
    )
    name = source["metadata"]["name"]

    def ended() -> str:
        told = ask(
            cluster.kubeconfig,
            lambda client: pod_status(ClusterReader(client), name, namespace, time.time()),
        )
        return told.ended

    assert wait_for(ended, "the source pod has ended") == "Succeeded"
    assert added() == (2, 10 * GI)
