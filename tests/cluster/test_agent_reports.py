"""The agent runs on a fake node, with the rights of its installation and a real API server."""

from tests.agent.fake_node import GI, MI
from tests.cluster.agents import QUICK, Worker, lasts
from tests.waiting import wait_for


def test_a_calm_node_is_reported_in_full(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "web", request="256Mi", memory_swap_max=None)
    agent = worker.start().ready()
    status = wait_for(lambda: worker.status, "a status")
    assert status["memory"] == {
        "totalBytes": GI,
        "availableBytes": GI // 2,
        "hugetlbBytes": 0,
        "offloadedBytes": 0,
        "promisedBytes": 256 * MI,
    }
    assert status["swap"]["demandedBytes"] == GI // 2
    assert status["swap"]["allowedBytes"] == 128 * MI
    assert (status["mode"], status["paused"], status["pressure"]["state"]) == ("Enforce", False, "None")
    assert [each["status"] for each in status["conditions"]] == ["False"]
    assert status.get("problems", []) == []
    first = status["observedAt"]
    wait_for(lambda: worker.status["observedAt"] != first, "a heartbeat")
    assert agent.metric("api_failures_total") == 0


def test_failed_provisioning_of_the_host_is_reported(worker: Worker) -> None:
    state = worker.files.root / "run/overbook/swap.state"
    state.parent.mkdir(parents=True)
    state.write_text("state=DiskFull\nsentence=/var/lib has 1 MiB free\n")
    worker.start().ready()
    problems = wait_for(lambda: worker.status.get("problems"), "a problem")
    assert [problem["word"] for problem in problems] == ["SwapNotProvisioned"]
    assert problems[0]["sentence"].endswith("(DiskFull): /var/lib has 1 MiB free")
    assert problems[0]["mend"] == "overbook node swap apply"


def test_pressure_gives_request_taint_and_events_until_calm(worker: Worker, namespace: str) -> None:
    big = worker.pod(namespace, "big", memory_current=400 * MI)
    small = worker.pod(namespace, "small", memory_current=100 * MI)
    agent = worker.start().ready()
    wait_for(lambda: worker.status, "a status")
    worker.trouble()
    request = worker.asked()
    assert [candidate["uid"] for candidate in request["candidates"]] == [big, small]
    first = request["candidates"][0]
    assert (first["namespace"], first["name"], first["usageBytes"]) == (namespace, "big", 400 * MI)
    assert "MiB of memory and swap in use" in request["sentence"]
    status = worker.status
    assert status["pressure"]["state"] == "Critical"
    assert status["decisions"][0]["victim"] == f"{namespace}/big"
    wait_for(lambda: worker.tainted, "the taint")
    told = wait_for(lambda: worker.events("Pod", namespace), "an event on the pod")
    assert [(event["reason"], event["involvedObject"]["uid"]) for event in told] == [("ReliefRequested", big)]
    assert "ReliefRequested" in wait_for(
        lambda: {event["reason"] for event in worker.events()}, "an event on the node"
    )
    worker.calm()
    wait_for(lambda: worker.request is None and not worker.tainted, "the request and the taint are gone")
    wait_for(lambda: worker.status["pressure"]["state"] == "None", "no pressure")
    assert "withdrawn" in agent.said


def test_an_answer_ends_a_request_and_the_next_is_another(worker: Worker, namespace: str) -> None:
    big = worker.pod(namespace, "big", memory_current=400 * MI)
    worker.pod(namespace, "small", memory_current=200 * MI)
    agent = worker.start(settings={**QUICK, "calmSeconds": 60.0}).ready()
    worker.trouble()
    request = worker.asked()
    worker.relief(requestId=request["id"], stage="Ending", victimUid=big, victim=f"{namespace}/big")
    assert lasts(lambda: (worker.request or {}).get("id") == request["id"], 1.0)
    worker.end(big)
    outcome = {
        "requestId": request["id"],
        "victim": f"{namespace}/big",
        "outcome": "Evicted",
        "message": "",
        "startedAt": "2026-01-01T00:00:00Z",
        "finishedAt": "2026-01-01T00:00:01Z",
    }
    worker.relief(requestId=request["id"], stage="CoolingDown", outcomes=[outcome])
    following = wait_for(
        lambda: (found := worker.request) is not None and found["id"] != request["id"] and found,
        "another request for what is still wrong",
    )
    assert [candidate["name"] for candidate in following["candidates"]] == ["small"]
    assert f"{namespace}/big: " in agent.said


def test_a_pause_is_obeyed_within_five_seconds_and_its_end_too(worker: Worker, namespace: str) -> None:
    uid = worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start(settings={**QUICK, "calmSeconds": 60.0}).ready()
    worker.trouble()
    worker.asked()
    wait_for(lambda: worker.tainted, "the taint")
    worker.cluster.spec(paused=True)
    wait_for(lambda: worker.request is None and not worker.tainted, "nothing is asked", 5)
    assert worker.status["paused"] is True
    again = worker.run(uid, memory_swap_max=None, memory_current=400 * MI)
    limit = worker.files.file(again, "memory.swap.max")
    assert lasts(lambda: worker.request is None and not worker.tainted, 2.0)
    assert limit.read_text() == "max\n"  # no limit is written
    observed = worker.status["observedAt"]
    wait_for(lambda: worker.status["observedAt"] != observed, "it goes on reporting")
    worker.cluster.spec(paused=False)
    wait_for(lambda: worker.request and worker.tainted, "it asks again", 10)
    assert "paused by Overcommit cluster" in agent.said


def test_the_clusters_mode_and_percentage_win_over_the_settings(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.cluster.spec(mode="Observe", percentage=200)
    agent = worker.start().ready()
    worker.trouble()
    wait_for(lambda: worker.status.get("decisions"), "a decision")
    assert worker.status["mode"] == "Observe"
    assert worker.status["swap"]["demandedBytes"] == GI
    assert worker.request is None
    assert not worker.tainted
    assert "mode Observe: nothing is done" in agent.said
    assert worker.status["problems"][0]["word"] == "SwapTooSmall"
    reasons = wait_for(lambda: {event["reason"] for event in worker.events()}, "an event")
    assert "ReliefObserved" in reasons


def test_a_clean_stop_takes_request_and_taint_back(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    agent = worker.start().ready()
    worker.trouble()
    worker.asked()
    wait_for(lambda: worker.tainted, "the taint")
    agent.stop()
    assert worker.request is None
    assert not worker.tainted


def test_a_recreated_pod_of_one_name_is_another(worker: Worker, namespace: str) -> None:
    before = worker.pod(namespace, "same", memory_current=400 * MI)
    worker.start().ready()
    worker.trouble()
    assert worker.asked()["candidates"][0]["uid"] == before
    worker.cluster.admin.ask("DELETE", f"/api/v1/namespaces/{namespace}/pods/same", {"gracePeriodSeconds": 0})
    worker.end(before)
    after = worker.pod(namespace, "same", memory_current=400 * MI)
    request = wait_for(
        lambda: (found := worker.request) is not None and found["candidates"][0]["uid"] != before and found,
        "a request for the new pod",
    )
    assert [candidate["uid"] for candidate in request["candidates"]] == [after]


def test_a_recreated_node_is_tainted_again(worker: Worker, namespace: str) -> None:
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.start(settings={**QUICK, "calmSeconds": 60.0}).ready()
    worker.trouble()
    wait_for(lambda: worker.tainted, "the taint")
    worker.unregister()
    worker.register(taints=[{"key": "example.com/kept", "effect": "NoSchedule"}])
    wait_for(lambda: worker.tainted, "the taint of the new node")
    assert "example.com/kept" in worker.taints


def test_the_agents_deleted_object_is_created_again(worker: Worker) -> None:
    worker.start().ready()
    wait_for(lambda: worker.status, "a status")
    worker.cluster.plane.kubectl("delete", "overcommitnode", worker.name)
    wait_for(lambda: worker.status, "a status again")


def test_a_foreign_taint_is_never_dropped(worker: Worker, namespace: str) -> None:
    """Another writer changes the same list all the time, while the agent's taint comes and goes."""
    worker.pod(namespace, "big", memory_current=400 * MI)
    worker.start(settings={**QUICK, "calmSeconds": 1.0}).ready()
    path = f"/api/v1/nodes/{worker.name}"
    seen: set[str] = set()
    for number in range(60):
        (worker.trouble if number % 20 < 10 else worker.calm)()
        key = f"example.com/{number}"
        written = [{"op": "add", "path": "/spec/taints/-", "value": {"key": key, "effect": "NoSchedule"}}]
        kind = "application/json-patch+json"
        if number == 0:
            worker.cluster.admin.ask(
                "PATCH",
                path,
                {"spec": {"taints": [{"key": key, "effect": "NoSchedule"}]}},
                "application/merge-patch+json",
            )
        else:
            worker.cluster.admin.ask("PATCH", path, written, kind)
        seen |= worker.taints
        expected = {f"example.com/{each}" for each in range(number + 1)}
        assert expected <= worker.taints
    assert any("overbook.dev" in key for key in seen), "the agent wrote nothing meanwhile"
