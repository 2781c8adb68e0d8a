import pytest

from overbook.agent.problems import NodeFindings, node_problems
from overbook.core.api.overcommit_node import (
    MOST_CANDIDATES,
    Outcome,
    Problem,
    ReliefOutcome,
    ReliefRecord,
    Stage,
)
from overbook.core.kubernetes.pod import HASH_ANNOTATION, MIRROR_ANNOTATION, Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.overcommit.promise import promise_bytes
from overbook.core.overcommit.writer import Choice
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision, FiredRule
from overbook.core.pressure.state import HOLD_SECONDS, PressureTrend
from overbook.core.relief.record import in_flight, outcome_of
from overbook.core.relief.request import relief_request
from overbook.core.text import LONGEST_SENTENCE, shortened
from overbook.node.doctor.check import HostFinding

MI, GI = 1 << 20, 1 << 30
STALL = FiredRule("stall", "all work stalled", {})
HASH = "0123456789abcdef0123456789abcdef"


def pod(
    request: str = "256Mi",
    limit: str | None = None,
    *,
    virtual: bool = False,
    annotations: dict[str, str] | None = None,
) -> Pod:
    owner = {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "name": "v",
        "controller": True,
    }
    resources = {"requests": {"memory": request}, **({"limits": {"memory": limit}} if limit else {})}
    return convert(
        {
            "metadata": {
                "name": "p",
                "uid": "u",
                "annotations": annotations or {},
                "ownerReferences": [owner] if virtual else [],
            },
            "spec": {"containers": [{"name": "compute", "resources": resources}]},
        },
        Pod,
        "Pod",
    )


def test_a_static_pods_cgroup_has_the_hash_that_its_mirror_shows() -> None:
    mirror = pod(annotations={MIRROR_ANNOTATION: HASH, HASH_ANNOTATION: HASH})
    assert mirror.cgroup_uid == HASH
    assert pod().cgroup_uid == "u"


@pytest.mark.parametrize("written", ["0e3bd3b4-5b0c-4e0a-8f66-3a2a5d0d1e4f", "", "x" * 32, HASH[:31]])
def test_a_malformed_hash_names_no_other_pod(written: str) -> None:
    assert pod(annotations={MIRROR_ANNOTATION: "x", HASH_ANNOTATION: written}).cgroup_uid == "u"


def test_the_hash_of_a_pod_that_is_no_mirror_means_nothing() -> None:
    assert pod(annotations={HASH_ANNOTATION: HASH}).cgroup_uid == "u"


def test_promised_memory_is_guest_size_else_limit_or_request() -> None:
    overhead = {"kubevirt.io/memory-overhead-bytes": str(64 * MI)}
    assert promise_bytes(resolve(pod("1088Mi", virtual=True, annotations=overhead)), 150) == 1536 * MI
    assert promise_bytes(resolve(pod("1Gi", virtual=True)), 150) == 1536 * MI
    assert promise_bytes(resolve(pod("1Gi", "1Gi", virtual=True)), 150) == GI
    assert promise_bytes(resolve(pod("1Gi", "2Gi")), 150) == 2 * GI
    assert promise_bytes(resolve(pod("1Gi")), 150) == GI


def test_pressure_is_reported_at_once_and_its_end_if_it_lasts() -> None:
    trend = PressureTrend(0.0)
    assert trend.seen([STALL], critical=False, now=1.0)
    assert trend.state == "Pressure"
    assert trend.seen([STALL], critical=True, now=2.0)
    assert not trend.seen([], critical=False, now=2.0 + HOLD_SECONDS - 0.1)
    assert (trend.state, trend.finding) == ("Critical", STALL)
    assert trend.seen([], critical=False, now=2.0 + HOLD_SECONDS)
    assert (trend.state, trend.finding) == ("None", None)
    assert trend.calm_seconds(10.0) == 8.0


def test_a_rule_that_flickers_is_one_pressure() -> None:
    trend = PressureTrend(0.0)
    changes = sum(
        trend.seen([STALL] if second % 3 else [], critical=False, now=float(second)) for second in range(60)
    )
    assert changes == 1


def test_a_request_holds_the_decisions_numbers_and_is_bounded() -> None:
    ranked = tuple(
        Candidate(f"u{n}", f"ns/p{n}", 100 - n, 50, 10, 1, 0.5, 0.25, "" if n else "critical", 7, 3, True)
        for n in range(40)
    )
    decision = Decision(3, 0.0, (STALL,), "relieve", "x" * 3000, victim=ranked[1], candidates=ranked)
    request = relief_request("i-3", "2026-01-01T00:00:00Z", decision, "original")
    assert len(request.candidates) == MOST_CANDIDATES
    assert len(request.sentence) == LONGEST_SENTENCE
    first = request.candidates[1]
    assert (first.label, first.usage_bytes, first.swap_bytes, first.growth_bytes_per_second) == (
        "ns/p1",
        99,
        7,
        3,
    )
    assert (first.blame, first.virtual_machine, first.excluded) == (0.75, True, "")
    assert request.candidates[0].excluded == "critical"
    assert (request.rule, request.rank) == ("stall", "original")
    assert shortened("short") == "short"


@pytest.mark.parametrize(
    ("stage", "moving"),
    [
        ("Asking", True),
        ("Migrating", True),
        ("Ending", True),
        ("CoolingDown", False),
        ("Waiting", False),
        ("Refused", False),
        (None, False),
    ],
)
def test_a_pod_is_leaving_in_some_stages(stage: Stage | None, moving: bool) -> None:
    assert in_flight(ReliefRecord(stage=stage)) is moving


@pytest.mark.parametrize(
    ("outcome", "over"),
    [
        ("Migrated", True),
        ("Restarted", True),
        ("Evicted", True),
        ("Deleted", True),
        ("Gone", True),
        ("GivenUp", False),
        ("Failed", False),
    ],
)
def test_a_request_is_answered_when_a_pod_left_for_it(outcome: Outcome, over: bool) -> None:
    told = ReliefOutcome(
        request_id="a", victim="v", outcome=outcome, message="", started_at="", finished_at=""
    )
    record = ReliefRecord(outcomes=(told,))
    assert (outcome_of(record, "a") is not None) is over
    assert outcome_of(record, "b") is None
    assert outcome_of(None, "a") is None


def told(**found: object) -> tuple[Problem, ...]:
    facts = {"node_name": "n", "percent": 150, "memory_total_bytes": GI, "swap_total_bytes": GI // 2}
    return node_problems(NodeFindings(**{**facts, **found}))  # type: ignore[arg-type]  # by field name


def problems(**found: object) -> list[str]:
    return [problem.word for problem in told(**found)]


def test_a_healthy_node_has_no_problem() -> None:
    assert problems() == []
    assert problems(percent=100, swap_total_bytes=0) == []
    assert problems(swap_total_bytes=GI // 2 - 4096) == []  # a swap area's own header


def test_doctor_findings_are_deduplicated() -> None:
    doctor = (
        HostFinding("Broken", "SwapNotProvisioned", "the disk is full", "overbook node swap apply"),
        HostFinding("Broken", "NoSwap", "swap is off", "overbook node swap apply"),
        HostFinding("Risky", "PanicOnOom", "vm.panic_on_oom is 1 " + "!" * LONGEST_SENTENCE, "a"),
        HostFinding("Note", "NotLooked", "swap could not be looked at", "b"),
    )
    assert problems(doctor=doctor, swap_total_bytes=0) == ["SwapNotProvisioned", "NoSwap", "PanicOnOom"]
    found = NodeFindings(node_name="n", percent=100, memory_total_bytes=GI, swap_total_bytes=0, doctor=doctor)
    assert all(len(problem.sentence) <= LONGEST_SENTENCE for problem in node_problems(found))


def test_problems_have_a_word_each_and_the_worst_is_first() -> None:
    assert problems(swap_total_bytes=0) == ["NoSwap"]
    assert problems(swap_total_bytes=GI // 4, pressure_known=False) == ["SwapTooSmall", "PressureUnknown"]
    assert problems(other_agent="x", refused="403", nobody_may_go=True) == [
        "TwoAgents",
        "Refused",
        "NobodyMayGo",
    ]
    assert problems(reserves_hindrance="the kubelet keeps 50 %") == ["ReservesNotKept"]
    assert problems(swap_allowed_bytes=GI, contested_limits=2, reclaim_supported=False) == [
        "SwapPromisedTwice",
        "NoReclaim",
        "SwapLimitsContested",
    ]


def test_an_impossible_writer_is_reported_with_its_replacement() -> None:
    refused = Choice("kubelet", "", problem="eligibility: expected Burstable")
    (said,) = told(writer=refused, differing_limits=3)
    assert (said.word, said.fix) == ("SwapWriter", "overbook node doctor")
    assert said.sentence.endswith("until then no swap limit is written here")
    (differ,) = told(writer=Choice("kubelet", ""), differing_limits=3)
    assert differ.word == "SwapLimitsDiffer"
    assert "3 containers" in differ.sentence
    assert told(writer=Choice("nri", ""), differing_limits=3) == ()


def test_a_problems_fix_is_a_command_that_runs() -> None:
    found = NodeFindings(node_name="n", percent=150, memory_total_bytes=GI, swap_total_bytes=0)
    assert node_problems(found)[0].fix == "overbook node swap apply --percent 150"
