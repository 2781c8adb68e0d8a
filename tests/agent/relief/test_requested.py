"""A relief request without an API: whether it stands, for how long, and what ends it."""

import pytest

from overbook.agent.collector import Collector
from overbook.agent.relief.local import LocalRelief
from overbook.agent.relief.requested import REFRESH_SECONDS, AgentSituation, ApiRelief
from overbook.core.api.overcommit_node import (
    Outcome,
    OvercommitNodeStatus,
    ReliefCandidate,
    ReliefOutcome,
    ReliefRecord,
    ReliefRequest,
    Stage,
)
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision, FiredRule
from tests.agent.fake_node import FakeNode

BIG, SMALL = Candidate("big", "ns/big", 9, 9, 9, 0), Candidate("small", "ns/small", 5, 5, 5, 0)
DECISION = Decision(
    7, 0.0, (FiredRule("rule", "seen", {}),), "relieve", "", victim=BIG, candidates=(BIG, SMALL)
)
LEFT = ReliefRequest(
    id="before-1",
    decided_at="then",
    candidates=(ReliefCandidate(uid="big", namespace="ns", name="big"),),
)
HERE = ("big", "small")


def relief(last_resort: LocalRelief | None = None) -> ApiRelief:
    asking = ApiRelief(
        "me",
        lambda _: "now",
        lambda: asking.situation,  # as the test left it
        rank="culprit",
        calm_seconds=30.0,
        grace_seconds=1.0,
        last_resort=last_resort,
    )
    return asking


def situation(
    stage: Stage | None = None,
    *,
    victim: str = "",
    request: ReliefRequest | None = None,
    outcome: tuple[str, Outcome] | None = None,
    instance: str = "me",
    present: tuple[str, ...] = HERE,
    calm: float = 0.0,
    away: float = 0.0,
    critical: bool = True,
) -> AgentSituation:
    outcomes = (
        (
            ReliefOutcome(
                request_id=outcome[0],
                victim="ns/big",
                outcome=outcome[1],
                message="",
                started_at="",
                finished_at="",
            ),
        )
        if outcome
        else ()
    )
    record = ReliefRecord(stage=stage, victim_uid=victim, victim=victim and f"ns/{victim}", outcomes=outcomes)
    own = OvercommitNodeStatus(agent_instance=instance, request=request, relief=record)
    return AgentSituation(
        own=own,
        own_known=True,
        present=present,
        calm_seconds=calm,
        critical=critical,
        unreachable_seconds=away,
    )


def state_of(asking: ApiRelief) -> str:
    return asking.state


def request_of(asking: ApiRelief) -> ReliefRequest | None:
    return asking.request


def begun() -> ApiRelief:
    asking = relief()
    asking.situation = situation()
    asking.begin(DECISION, 5.0, 100.0)
    return asking


def test_a_request_stands_until_the_controller_reports_success() -> None:
    asking = begun()
    assert asking.request is not None
    assert (asking.request.id, asking.request.candidates[0].label) == ("me-7", "ns/big")
    stages: tuple[Stage | None, ...] = (None, "Asking", "Migrating")
    for stage in stages:
        asking.situation = situation(stage, victim="big")
        assert asking.tick(101.0) is None
        assert state_of(asking) == "active"
    asking.situation = situation("CoolingDown", outcome=("me-7", "Migrated"), present=("small",))
    report = asking.tick(110.0)
    assert report is not None
    assert (report.label, report.outcome, report.seconds) == ("ns/big", "migrated", 10.0)
    assert (request_of(asking), state_of(asking)) == (None, "idle")


@pytest.mark.parametrize("outcome", ["GivenUp", "Failed"])
def test_a_request_outlives_a_failed_attempt(outcome: Outcome) -> None:
    asking = begun()
    asking.situation = situation("Waiting", outcome=("me-7", outcome))
    assert asking.tick(101.0) is None
    assert state_of(asking) == "active"


def test_an_old_outcome_does_not_end_a_new_request() -> None:
    asking = begun()
    asking.situation = situation(outcome=("me-6", "Evicted"))
    assert asking.tick(101.0) is None


def test_a_vanished_pod_ends_the_request_without_an_answer() -> None:
    asking = begun()
    asking.situation = situation(present=("small",))
    report = asking.tick(101.0)
    assert report is not None
    assert (report.label, report.outcome) == ("ns/big", "gone")


def test_the_pod_that_the_controller_chose_is_followed() -> None:
    asking = begun()
    asking.situation = situation("Ending", victim="small", present=("small",))
    assert asking.tick(101.0) is None  # the first of the list has ended meanwhile, but another was chosen
    asking.situation = situation("Ending", victim="small", present=())
    asking.tick(102.0)
    assert asking.request is None


def test_calm_withdraws_a_request_unless_a_pod_is_leaving() -> None:
    asking = begun()
    asking.situation = situation("Migrating", victim="big", calm=60.0)
    assert asking.tick(160.0) is None
    asking.situation = situation(calm=60.0)
    report = asking.tick(161.0)
    assert report is not None
    assert report.outcome == "withdrawn"
    assert state_of(asking) == "withdrawn"  # so that the engine does not wait for an effect
    asking.tick(162.0)
    assert state_of(asking) == "idle"


def test_a_request_withdrawn_by_a_pause_is_reported_next_tick() -> None:
    asking = begun()
    asking.withdraw("paused")
    assert asking.request is None
    asking.tick(101.0)
    assert state_of(asking) == "withdrawn"


def test_a_request_standing_at_the_start_keeps_its_id() -> None:
    asking = relief()
    asking.situation = situation(request=LEFT, instance="before")
    before = asking.aware
    asking.tick(100.0)
    assert (before, asking.aware) == (False, True)
    assert asking.request == LEFT
    asking.begin(DECISION, 5.0, 101.0)
    assert asking.request == LEFT


def test_an_early_request_takes_the_id_of_the_standing_one() -> None:
    asking = relief()
    asking.begin(DECISION, 5.0, 100.0)
    asking.situation = situation(request=LEFT, instance="before")
    asking.tick(101.0)
    assert asking.request is not None
    assert (asking.request.id, asking.request.decided_at) == ("before-1", "then")
    assert [candidate.uid for candidate in asking.request.candidates] == ["big", "small"]


def test_a_request_answered_before_the_start_is_over() -> None:
    asking = relief()
    asking.situation = situation(request=LEFT, instance="before", outcome=("before-1", "Evicted"))
    asking.tick(100.0)
    assert (request_of(asking), state_of(asking)) == (None, "idle")


def test_no_other_pod_is_requested_while_one_is_leaving() -> None:
    asking = relief()
    asking.situation = situation("Migrating", victim="big")
    asking.tick(100.0)
    assert state_of(asking) == "active"
    asking.begin(DECISION, 5.0, 101.0)
    assert asking.request is None
    asking.situation = situation("Ending", victim="big", present=("small",))
    assert state_of(asking) == "idle"  # the pod is gone, whatever the record says


def test_a_standing_request_follows_the_rank_now_and_then() -> None:
    asking = begun()
    asking.refresh(lambda: (SMALL, BIG), 100.0 + REFRESH_SECONDS - 0.1)
    assert asking.request is not None
    assert asking.request.candidates[0].uid == "big"
    asking.refresh(lambda: (SMALL, BIG), 100.0 + REFRESH_SECONDS)
    assert (asking.request.id, asking.request.candidates[0].uid) == ("me-7", "small")
    asking.refresh(lambda: (), 200.0)
    assert asking.request.candidates  # a moment without candidates does not empty it


def test_a_request_stands_while_the_api_is_unreachable(caplog: pytest.LogCaptureFixture) -> None:
    asking = begun()
    for second in range(20):
        asking.situation = situation(away=float(second))
        assert asking.tick(101.0 + second) is None
    assert state_of(asking) == "active"
    assert caplog.messages.count("the API server does not answer; the request stands until it does") == 1


@pytest.mark.parametrize(
    ("away", "critical", "ended"), [(9.0, True, False), (10.0, False, False), (10.0, True, True)]
)
def test_the_last_resort_needs_silence_and_pressure(
    node: FakeNode, away: float, critical: bool, ended: bool
) -> None:
    collector = Collector(str(node.root))
    asking = relief(LocalRelief(collector, str(node.root)))
    asking.situation = situation()
    asking.begin(DECISION, 5.0, 100.0)
    asking.situation = situation(away=away, critical=critical)
    asking.tick(101.0)
    report = asking.tick(102.0)  # a node of files has no such pod: it is gone at once
    assert (report is not None) is ended
    assert (asking.request is None) is ended


def test_the_last_resort_kills_the_pod_that_was_leaving(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    asking = relief(LocalRelief(Collector(str(node.root)), str(node.root)))
    asking.situation = situation("Migrating", victim="small", away=60.0)
    asking.tick(101.0)
    assert any("ns/small is killed here as the last resort" in message for message in caplog.messages)
