"""A real agent meets faults of a real API server: nothing is lost, left behind or requested twice."""

import os
import pathlib
import time
from collections.abc import Iterator

import pytest

from overbook.core.timestamp import from_timestamp
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.agent.fake_node import MI
from tests.cluster.agents import QUICK, Cluster, Worker, lasts
from tests.cluster.conftest import make_namespace
from tests.cluster.faulty_proxy import EVER, FaultyProxy
from tests.cluster.installing import install
from tests.cluster.kubelet_stand_in import KubeletStandIn
from tests.waiting import wait_for

TAINTING, ASKING = r"PATCH /api/v1/nodes/", r"PATCH .*/overcommitnodes/.*/status"
PRESSED = {**QUICK, "calmSeconds": 60.0}
"""Settings with which a request stands for as long as a test runs."""


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[FaultyProxy]:
    """This fixture comes before the worker, so that the agents are gone when the proxy ends."""
    with FaultyProxy(cluster) as proxy:
        yield proxy


def reasons(worker: Worker) -> set[str]:
    """Return the reasons of the events about the node."""
    return {event["reason"] for event in worker.events()}


def all_done(worker: Worker) -> bool:
    return worker.request is None and not worker.tainted


@pytest.mark.parametrize("step", ["taint without request", "request without taint", "both"])
def test_agent_killed_between_steps_requests_relief_once(
    proxy: FaultyProxy, worker: Worker, namespace: str, step: str
) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start(proxy.server, PRESSED).ready()
    wait_for(lambda: worker.status, "a status")
    if step == "taint without request":
        proxy.silence(ASKING, EVER)
    if step == "request without taint":
        proxy.silence(TAINTING, EVER)
        proxy.cut(TAINTING, EVER)
    worker.trouble()
    if step == "taint without request":
        wait_for(lambda: worker.tainted, "the taint")
    elif step == "request without taint":
        worker.asked()
        wait_for(
            lambda: any("PATCH /api/v1/nodes/" in asked for asked in proxy.requests), "tainting is tried"
        )
    else:
        worker.asked()
        wait_for(lambda: worker.tainted, "the taint")
    agent.kill()
    asked = worker.request
    following = worker.start(settings=QUICK).ready()
    if asked is None:
        asked = worker.asked()
    else:
        following.says("of the previous agent is continued")
    wait_for(lambda: worker.tainted, "the taint")
    assert lasts(lambda: (worker.request or {})["id"] == asked["id"], 2.0), "one pressure has one request"
    worker.calm()
    wait_for(lambda: all_done(worker), "nothing is left behind")


def test_a_taint_that_somebody_removes_is_not_fought_for(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.start(settings=PRESSED).ready()
    worker.trouble()
    removed = 0
    end = time.monotonic() + 8
    while time.monotonic() < end:
        if worker.tainted:
            worker.remove_taints()
            removed += 1
        time.sleep(0.02)
    assert 2 <= removed <= 6, "it is set again, after pauses that double"


def test_agent_whose_reports_are_refused_sets_no_taint(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.start(proxy.server, PRESSED).ready()
    wait_for(lambda: worker.status, "a status")
    proxy.answer(422, matching=ASKING, times=EVER)
    worker.trouble()
    wait_for(lambda: sum("/status" in asked for asked in proxy.requests) > 3, "a report is refused")
    worker.remove_taints()  # one may have been set at the same moment
    assert lasts(lambda: not worker.tainted, 3.0), "the controller would remove it as a silent agent's"


def test_agent_killed_under_pressure_cleans_up_on_a_calm_node(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start(settings=PRESSED).ready()
    worker.trouble()
    worker.asked()
    wait_for(lambda: worker.tainted, "the taint")
    agent.kill()
    worker.calm()
    worker.start().ready()
    wait_for(lambda: all_done(worker), "nothing is left behind")


def test_a_taint_without_a_request_is_removed_at_the_start(worker: Worker) -> None:
    worker.unregister()
    worker.register(
        taints=[
            {"key": "overbook.dev/memory-pressure", "effect": "NoSchedule"},
            {"key": "example.com/kept", "effect": "NoSchedule"},
        ]
    )
    worker.start().ready()
    wait_for(lambda: not worker.tainted, "the taint is gone")
    assert "example.com/kept" in worker.taints


def test_a_pod_leaving_before_the_start_stays_the_only_one(worker: Worker, namespace: str) -> None:
    big = worker.pod(namespace, "big", memory_current=400 * MI)
    worker.pod(namespace, "small", memory_current=100 * MI)
    agent = worker.start(settings=PRESSED).ready()
    worker.trouble()
    request = worker.asked()
    worker.relief(requestId=request["id"], stage="Migrating", victimUid=big, victim=f"{namespace}/big")
    agent.stop()  # what nobody watches is not asked for any more, but the guest goes on
    assert worker.request is None
    worker.start(settings=PRESSED).ready()
    assert lasts(lambda: worker.request is None, 3.0)
    assert worker.tainted


def test_a_request_is_written_within_half_a_second(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.start().ready()
    wait_for(lambda: worker.status, "a status")
    taken = []
    for _ in range(3):
        worker.trouble()
        path = f"/apis/overbook.dev/v1alpha1/overcommitnodes/{worker.name}"
        while (found := worker.cluster.admin.ask("GET", path)["status"]).get("request") is None:
            time.sleep(0.01)
        seen = time.time()
        taken.append(seen - _unix(found["request"]["decidedAt"]))
        worker.calm()
        wait_for(lambda: all_done(worker), "all is done")
    assert min(taken) < 0.5, taken


def test_allowances_hold_without_the_api_and_decisions_follow(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    uid = worker.pod(namespace, "big", request="256Mi", memory_current=400 * MI, memory_swap_max=None)
    agent = worker.start(proxy.server, {**PRESSED, "heartbeatSeconds": 1.0}).ready()
    path = worker.run(uid, memory_current=400 * MI)
    wait_for(lambda: worker.files.limit(path) == str(128 * MI), "a limit")
    proxy.stall()
    wait_for(lambda: (agent.metric("api_unreachable_seconds") or 0) > 1, "it notices the silence")
    worker.trouble()
    agent.says(f"{namespace}/big has to leave the node")
    worker.run(uid, memory_current=400 * MI, memory_swap_max=None)
    wait_for(lambda: worker.files.limit(path) == str(128 * MI), "the limit is put back")
    assert agent.get("/readyz") == "ok\n"
    assert worker.request is None
    agent.says("the API server does not answer; the request stands until it does")
    proxy.resume()
    proxy.cut_all()
    back = time.monotonic()
    wait_for(lambda: worker.request and worker.tainted, "request and taint", 10)
    wait_for(lambda: "ReliefRequested" in reasons(worker), "events")
    assert time.monotonic() - back < 10
    assert agent.metric("events_dropped_total") == 0


def test_a_silent_connection_is_replaced_by_a_new_one(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    """Every open connection is silent for ever; the next connection would work."""
    agent = worker.start(proxy.server, {**QUICK, "heartbeatSeconds": 1.0}).ready()
    wait_for(lambda: worker.status, "a status")
    proxy.silence("", 6)
    proxy.stall()
    wait_for(lambda: (agent.metric("api_failures_total") or 0) >= 1, "it notices")
    proxy.resume()
    worker.pod(namespace, "late", memory_current=400 * MI)
    wait_for(lambda: agent.metric("pods_known") == 2, "it knows the new pod, beside its own")


def test_a_pod_is_killed_without_the_api_only_where_configured(
    proxy: FaultyProxy, worker: Worker, namespace: str
) -> None:
    uid = worker.pod(namespace, "big", memory_current=400 * MI)
    slice_ = f"kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice"
    worker.files.build({f"sys/fs/cgroup/{slice_}/cgroup.events": "populated 1\n"})
    worker.files.build({f"sys/fs/cgroup/{slice_}/cgroup.kill": ""})
    killed = worker.files.file(slice_, "cgroup.kill")
    more = {"lastResort": "Kill", "lastResortAfterSeconds": 3.0, "graceSeconds": 0.5, "heartbeatSeconds": 1.0}
    agent = worker.start(proxy.server, {**PRESSED, **more}).ready()
    wait_for(lambda: worker.status, "a status")
    worker.trouble()
    worker.asked()
    assert lasts(lambda: killed.read_text() == "", 5.0), "the API server is there: no pod is killed here"
    proxy.refuse()
    proxy.cut_all()
    agent.says("as the last resort")
    wait_for(lambda: killed.read_text() == "1\n", "the guest is killed")
    worker.end(uid)
    worker.calm()
    proxy.accept()
    wait_for(lambda: {"EndedAsLastResort", "ReliefRequested"} <= reasons(worker), "events")


def test_kubelet_lists_the_pods_while_the_api_is_unreachable(
    proxy: FaultyProxy, worker: Worker, cluster: ControlPlane, namespace: str
) -> None:
    with KubeletStandIn(cluster, worker.name) as kubelet:
        more = {"heartbeatSeconds": 1.0, "kubelet": {"server": kubelet.server}}
        agent = worker.start(proxy.server, {**QUICK, **more}).ready()
        wait_for(lambda: agent.metric("pods_known") == 1, "it knows its own pod")
        proxy.refuse()
        proxy.cut_all()
        late = worker.pod(namespace, "late", request="256Mi", memory_swap_max=None)
        agent.says("the kubelet lists 2 pods")
        limit = worker.run(late, memory_swap_max=None)
        wait_for(lambda: worker.files.limit(limit) == str(128 * MI), "the new pod has its limit")
        proxy.accept()
        agent.says("pods come from the API server again")
        asked = kubelet.asked
        wait_for(lambda: agent.metric("pods_known") == 2, "it knows both")
    assert asked >= 1


def test_an_expired_token_is_read_again(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start(settings={**QUICK, "heartbeatSeconds": 1.0}).ready()
    wait_for(lambda: worker.status, "a status")
    worker.revoke_token()
    agent.says("401")
    worker.renew_token()
    before = worker.status["observedAt"]
    wait_for(lambda: worker.status["observedAt"] != before, "it reports again")


def test_the_older_of_two_agents_yields_and_reports_it(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    first = worker.start(settings={**QUICK, "heartbeatSeconds": 1.0}).ready()
    wait_for(lambda: worker.status, "a status")
    second = worker.start(settings={**QUICK, "heartbeatSeconds": 1.0}).ready()
    first.says("two agents run on this node")
    wait_for(lambda: first.metric("yielding") == 1, "the first yields")
    later = first.said.partition(" yields to ")[2].split()[0]
    wait_for(lambda: worker.status["agentInstance"] == later, "the later one writes, whatever was on its way")
    problems = wait_for(lambda: worker.status.get("problems"), "a problem is told")
    assert problems[0]["word"] == "TwoAgents"
    assert lasts(lambda: worker.status["agentInstance"] == later, 5.0), "they take turns"
    assert first.said.count("two agents run on this node") == 1
    assert second.metric("yielding") == 0
    worker.trouble()
    assert worker.asked()["id"].startswith(later)
    wait_for(lambda: "TwoAgents" in reasons(worker), "an event")


def test_a_restarted_api_server_has_everything_in_ten_seconds(
    breakable_cluster: ControlPlane, tmp_path: pathlib.Path
) -> None:
    install(breakable_cluster)
    worker = Worker(Cluster(breakable_cluster), tmp_path, "restarted")
    worker.cluster.spec(percentage=150, mode="Enforce")
    namespace = make_namespace(breakable_cluster)
    worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start(settings=PRESSED).ready()
    wait_for(lambda: worker.status, "a status")
    breakable_cluster.kill_api_server()
    worker.trouble()
    agent.says("has to leave the node")
    wait_for(lambda: (agent.metric("api_unreachable_seconds") or 0) > 5, "it has been away for a while")
    resident = agent.resident_mib()
    breakable_cluster.start_api_server()
    try:
        # A machine that others keep busy needs longer for the API server itself.
        crowded = os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1)
        wait_for(lambda: worker.request and worker.tainted, "request and taint", 30 if crowded else 10)
    finally:
        print(agent.said)
    conditions = worker.status["conditions"]
    assert [(each["type"], each["status"]) for each in conditions] == [("OvercommitPressure", "True")]
    # The API server just started does not know anybody's rights yet: it refuses, and nothing is lost by it.
    wait_for(lambda: "ReliefRequested" in reasons(worker), "the event of the decision")
    late = worker.pod(namespace, "late", memory_current=500 * MI)
    wait_for(
        lambda: late in {candidate["uid"] for candidate in worker.asked()["candidates"]}, "it knows new pods"
    )
    assert agent.resident_mib() < resident + 3
    worker.close()


def _unix(text: str) -> float:
    seconds = from_timestamp(text)
    assert seconds is not None
    return seconds
