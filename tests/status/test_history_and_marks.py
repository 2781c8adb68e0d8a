from typing import Any

from msgspec import structs

from overbook.core.api.overcommit_node import (
    DecisionRecord,
    OvercommitNodeStatus,
    Refusal,
    ReliefCandidate,
    ReliefOutcome,
    ReliefRecord,
    ReliefRequest,
)
from overbook.core.kubernetes.pod import Pod
from overbook.status.history import history_of, place_of
from overbook.status.marks import marks
from overbook.status.view import NodeView
from tests.core.pod_manifests import pod_of


def candidate(uid: str, excluded: str = "") -> ReliefCandidate:
    return ReliefCandidate(uid, "shop", uid, sentence=f"{uid} holds much", excluded=excluded)


def asked(*candidates: ReliefCandidate) -> NodeView:
    request = ReliefRequest("r", "2026-09-01T10:00:00Z", candidates=candidates)
    return NodeView(name="worker-1", status=OvercommitNodeStatus(request=request))


def pod(uid: str, **spec: Any) -> Pod:
    made = pod_of({}, **spec)
    return structs.replace(made, metadata=structs.replace(made.metadata, uid=uid))


def test_a_pods_rank_is_its_agents_order() -> None:
    node = asked(candidate("first"), candidate("second", excluded="it holds too little"))
    assert place_of(pod("first"), node).place == 1
    second = place_of(pod("second"), node)
    assert (second.place, second.candidates, second.excluded) == (2, 2, "it holds too little")
    assert place_of(pod("third"), node).sentence == "it is not a candidate of its agent"


def test_no_pod_has_a_rank_while_no_pod_has_to_leave() -> None:
    calm = NodeView(name="worker-1")
    assert place_of(pod("first"), calm).place is None
    assert "no pod has to leave now" in place_of(pod("first"), calm).sentence
    assert "never evicted" in place_of(pod("first", priority=2_000_000_000), calm).excluded


def test_a_pods_history_is_its_own_with_the_newest_first() -> None:
    relief = ReliefRecord(
        stage="Asking",
        victim="shop/db",
        victim_uid="u2",
        stage_since="2026-09-01T12:00:00Z",
        refusals=(Refusal("u2", "shop/db", "DisruptionBudget", "a budget", "2026-09-01T11:00:00Z"),),
        outcomes=(ReliefOutcome("r0", "shop/db", "Migrated", "", "", "2026-09-01T09:00:00Z"),),
    )
    status = OvercommitNodeStatus(
        relief=relief, decisions=(DecisionRecord("d", "2026-09-01T08:00:00Z", "relieve", "", "shop/web"),)
    )
    told = list(history_of("shop/db", "u2", [("worker-1", status)]))
    assert [one.what for one in told] == ["relief: Asking", "refused: DisruptionBudget", "migrated live"]
    # Another pod with the same name: only the records that have a name but no UID.
    assert [one.what for one in history_of("shop/db", "u9", [("worker-1", status)])] == ["migrated live"]
    assert [one.what for one in history_of("shop/web", None, [("worker-1", status)])] == ["decided: relieve"]


def test_a_namespaces_marks_state_their_effect() -> None:
    label = "clusterresourceoverrides.admission.autoscaling.openshift.io/enabled"
    switch = "quota.openshift.io/cluster-resource-override-enabled"
    told = marks({label: "true", "team": "a", "overbook.dev/swap": "disabled"}, {switch: "false"})
    assert [(one.value, one.sentence) for one in told] == [
        ("disabled", "none of its pods may swap"),
        ("true", "requests are overridden at admission"),
        ("false", "requests are not overridden, even if the label enables that"),
    ]
    vain = marks({label: "yes", "overbook.dev/swap": "?"}, {switch: "true"})
    assert {one.sentence for one in vain} == {"this value has no effect"}
    assert marks(None, None) == ()
    (old,) = marks({}, {"overbook.dev/swap": "disabled"})
    assert "no longer read" in old.sentence
