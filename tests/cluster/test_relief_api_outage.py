"""The API server dies in the middle of an eviction and comes back: the same pod leaves, once."""

import pathlib

from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster import relief_cluster
from tests.cluster.conftest import make_namespace
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.cluster.installing import install
from tests.cluster.relief_cluster import controller, make_node, make_pod, pod_exists, report
from tests.waiting import wait_for


def test_an_eviction_survives_a_killed_api_server(
    breakable_cluster: ControlPlane, tmp_path: pathlib.Path
) -> None:
    cluster = breakable_cluster
    install(cluster)
    relief_cluster.configure(cluster, coolDownSeconds=1)
    namespace = make_namespace(cluster)
    make_node(cluster, "n")
    wild, other = (make_pod(cluster, namespace, name, "n") for name in ("wild", "other"))
    with FaultyProxy(cluster) as proxy, controller(proxy.kubeconfig, tmp_path):
        proxy.delay(0.5, matching="POST .*/eviction", times=EVER)
        report(cluster, "n", wild, other)
        wait_for(lambda: any("/eviction" in line for line in proxy.requests), "asked", every_seconds=0.01)
        cluster.kill_api_server()
        cluster.start_api_server()
        wait_for(lambda: relief_cluster.outcomes(cluster, "n"), "an outcome")
        relief_cluster.wait_for_stage(cluster, "n", None)
    assert [victim for victim, _ in relief_cluster.outcomes(cluster, "n")] == [wild.label]
    assert not pod_exists(cluster, wild)
    assert pod_exists(cluster, other)
