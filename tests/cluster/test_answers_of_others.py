"""Proxies and load balancers answer for the API server: controller and agent believe none of it."""

import pathlib
import time
from collections.abc import Iterator

import pytest

from overbook.deploy.installation import Installation
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.agent.fake_node import MI
from tests.cluster import relief_cluster
from tests.cluster.agents import QUICK, Worker
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.cluster.relief_cluster import controller, make_node, make_pod, pod_exists, report
from tests.waiting import wait_for

_OTHER = b'{"kind":"OvercommitList","apiVersion":"overbook.dev/v9","metadata":{},"items":[]}'
LIES = {
    "html": (200, b"<html><body>Welcome</body></html>"),
    "json of nobody": (200, b"{}"),
    "a status of success": (200, b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}'),
    "another version": (200, _OTHER),
    "404 without a status": (404, b"404 page not found\n"),
    "bad gateway": (502, b"<html>Bad Gateway</html>"),
    "half a list": (200, _OTHER.replace(b"v9", b"v1alpha1")[:60]),
}
LISTS = "GET .*/(overcommits|overcommitnodes|nodes)[?]"
READS = "GET .*/(overcommits|overcommitnodes|nodes|pods)[?/]"


@pytest.fixture
def proxy(cluster: ControlPlane, installed: Installation) -> Iterator[FaultyProxy]:  # noqa: ARG001 - its kinds
    with FaultyProxy(cluster) as made:
        yield made


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_evicts_nobody_and_forgets_nothing(
    cluster: ControlPlane, proxy: FaultyProxy, namespace: str, tmp_path: pathlib.Path, lie: str
) -> None:
    status, body = LIES[lie]
    relief_cluster.configure(cluster, coolDownSeconds=1)
    node = f"node-of-{namespace}"
    make_node(cluster, node)
    wild, other = (make_pod(cluster, namespace, name, node) for name in ("wild", "other"))
    proxy.lie(body, matching=LISTS, times=EVER, status=status)
    with controller(proxy.kubeconfig, tmp_path, "--no-leader-elect") as process:
        report(cluster, node, wild, other)
        time.sleep(3)  # nothing can be waited for: nothing may happen
        assert pod_exists(cluster, wild)
        assert relief_cluster.record(cluster, node).stage is None
        proxy.forget_faults()
        wait_for(lambda: not pod_exists(cluster, wild), "the pod is evicted once the truth is known")
        relief_cluster.wait_for_stage(cluster, node, None)
        proxy.lie(body, matching=READS, times=EVER, status=status)
        proxy.cut_all()
        report(cluster, node, request_id="r1", state="None")
        time.sleep(3)
        proxy.forget_faults()
        wait_for(lambda: process.get("/readyz")[0] == 200, "the controller is ready")
    assert pod_exists(cluster, other)
    assert cluster.kubectl("get", "overcommitnode", node, "-o", "name")
    assert [victim for victim, _ in relief_cluster.outcomes(cluster, node)] == [wild.label]
    cluster.kubectl("delete", "overcommitnode", node)
    cluster.kubectl("delete", "node", node, "--wait=false")


@pytest.mark.parametrize("lie", LIES)
def test_an_agent_keeps_the_last_word_through_a_lie(worker: Worker, proxy: FaultyProxy, lie: str) -> None:
    status, body = LIES[lie]
    worker.run("7" * 8 + "-0000-0000-0000-000000000000", memory_current=100 * MI)
    agent = worker.start(server=proxy.server, settings=QUICK).ready()
    wait_for(lambda: agent.metric("enforcing") == 1, "the Overcommit is followed")
    proxy.lie(body, matching=READS, times=EVER, status=status)
    proxy.cut_all()
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert 0 not in (agent.metric("enforcing"), agent.metric("overcommit_usable"))
        time.sleep(0.3)
    proxy.forget_faults()
    worker.cluster.spec(paused=True)
    wait_for(lambda: agent.metric("paused") == 1, "the truth is followed again")
