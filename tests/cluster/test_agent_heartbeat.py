"""A calm node costs the API server little: a small Lease, three watches, and no write that says nothing."""

import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from overbook.core.api.heartbeat import HEARTBEAT_SECONDS
from overbook.core.api.overcommit import OvercommitSpec
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.agents import OBJECTS, QUICK, AgentProcess, Worker, lasts
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.waiting import wait_for

LEASES = "/apis/coordination.k8s.io/v1/namespaces/overbook-node/leases"
CALM = 4
"""The watches of pods, namespaces and `Overcommit`, and a connection for requests."""
RELIEVED = 6
"""Also the watches of the node's object and its Node."""


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultyProxy]:
    """This fixture comes before the worker, so that the agents are gone when the proxy ends."""
    with FaultyProxy(cluster) as proxy:
        yield proxy


def lease(worker: Worker) -> dict[str, Any]:
    found = worker.cluster.get(f"{LEASES}/{worker.name}") or {}
    spec: dict[str, Any] = found.get("spec", {})
    return spec


def connections(agent: AgentProcess, server: str) -> int:
    """Count the agent's established connections to the API server."""
    port = urlsplit(server).port or 443
    folder = pathlib.Path(f"/proc/{agent.process.pid}")
    own = set()
    for one in (folder / "fd").iterdir():
        try:
            own.add(str(one.readlink()))
        except OSError:
            continue
    rows = (folder / "net/tcp").read_text("ascii").splitlines()[1:]
    fields = [row.split() for row in rows]
    return sum(
        row[3] == "01" and int(row[2].rpartition(":")[2], 16) == port and f"socket:[{row[9]}]" in own
        for row in fields
    )


def test_a_calm_agent_renews_its_lease_and_leaves_its_object(worker: Worker) -> None:
    agent = worker.start(heartbeatSeconds=300).ready()
    first = wait_for(lambda: lease(worker), "the agent has its Lease")
    assert first["holderIdentity"] == worker.status["agentInstance"]
    written = (worker.cluster.get(f"{OBJECTS}/{worker.name}") or {})["metadata"]["resourceVersion"]
    wait_for(lambda: lease(worker)["renewTime"] != first["renewTime"], "the Lease is renewed")
    assert (worker.cluster.get(f"{OBJECTS}/{worker.name}") or {})["metadata"]["resourceVersion"] == written
    assert (agent.metric("api_heartbeats_total") or 0) >= 2
    # A change is written at once all the same.
    worker.trouble()
    wait_for(lambda: worker.status["pressure"]["state"] != "None", "the pressure is reported", 5)


def test_an_agent_on_a_calm_node_has_four_connections(worker: Worker, namespace: str) -> None:
    server = worker.cluster.plane.server
    worker.pod(namespace, "wild", memory_current=400 << 20)
    agent = worker.start(heartbeatSeconds=10).ready()
    wait_for(lambda: 3 <= connections(agent, server) <= CALM, "the start is over", 90)
    assert lasts(lambda: connections(agent, server) <= CALM, 5.0)
    worker.trouble()
    worker.asked()
    wait_for(lambda: worker.tainted, "the taint")
    wait_for(lambda: CALM < connections(agent, server) <= RELIEVED, "its object and its Node are watched")
    worker.calm()
    wait_for(lambda: not worker.tainted, "the taint is removed")
    wait_for(lambda: connections(agent, server) <= CALM, "they are watched no longer", 90)


def test_namespaces_without_the_label_are_never_sent(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    """Ten thousand namespaces cost an agent nothing: the API server selects those that say something."""
    container = worker.run(worker.describe(namespace, "web"), memory_current=100 << 20)
    files = worker.files
    worker.start(proxy.server).ready()
    asked = [each for each in proxy.requests if " /api/v1/namespaces?" in each]
    assert asked
    assert all("labelSelector=overbook.dev" in each for each in asked)
    wait_for(lambda: files.limit(container) not in ("0", "max"), "the pod may swap")
    kubectl = worker.cluster.plane.kubectl
    kubectl("annotate", "namespace", namespace, "overbook.dev/swap=disabled")
    assert lasts(lambda: files.limit(container) != "0", 2.0), "an annotation is no longer read"
    kubectl("label", "namespace", namespace, "overbook.dev/swap=disabled")
    wait_for(lambda: files.limit(container) == "0", "the label is obeyed")
    assert f"kubectl label namespace {namespace}" not in _outdated(worker)
    kubectl("label", "namespace", namespace, "overbook.dev/swap-")
    wait_for(lambda: files.limit(container) != "0", "the label is gone")
    assert f"kubectl label namespace {namespace} overbook.dev/swap=disabled" in _outdated(worker)


def _outdated(worker: Worker) -> str:
    """The remedy that `overbook status` names for namespaces with the annotation of earlier versions."""
    command = [sys.executable, "-m", "overbook", "status", "--output", "json"]
    command += ["--kubeconfig", worker.cluster.plane.kubeconfig]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own argv
    return run.stdout


def test_an_agent_whose_status_is_refused_renews_no_lease(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    """A Lease says that the node's reports are up to date; an agent that cannot report lets it run out."""
    worker.pod(namespace, "big", memory_current=400 << 20)
    agent = worker.start(proxy.server, {**QUICK, "calmSeconds": 60.0}).ready()
    wait_for(lambda: lease(worker), "the agent has its Lease")
    proxy.answer(422, matching=r"PATCH .*/overcommitnodes/.*/status", times=EVER)
    worker.trouble()
    agent.says("the node's status is not written")
    renewed = lease(worker)["renewTime"]
    assert lasts(lambda: lease(worker)["renewTime"] == renewed, 6.0)
    proxy.forget_faults()
    wait_for(lambda: lease(worker)["renewTime"] != renewed, "the Lease is renewed again")


def test_a_lease_is_renewed_four_times_within_the_silence() -> None:
    assert OvercommitSpec().relief.stale_seconds > 4 * HEARTBEAT_SECONDS
