import re

import pytest
from msgspec import structs

from overbook.core.api.overcommit import Overcommit, OvercommitSpec, Unusable
from overbook.core.api.overcommit_node import (
    MemoryStatus,
    OvercommitNodeStatus,
    PressureStatus,
    Problem,
    Refusal,
    ReliefCandidate,
    ReliefOutcome,
    ReliefRecord,
    ReliefRequest,
    Stage,
    SwapStatus,
)
from overbook.core.kubernetes.resources import Amounts
from overbook.status.cluster_findings import findings
from overbook.status.findings import Gathered
from overbook.status.sums import PodSums
from overbook.status.view import (
    Clusterwide,
    EvictableMachine,
    LeadingController,
    MarkedMachine,
    NodeView,
    Unread,
)
from tests.core.pod_manifests import GI

LEADER = LeadingController("controller-a", 2.0)
CLUSTER = Clusterwide(
    overcommit=Overcommit(spec=OvercommitSpec(percentage=150, mode="Enforce")),
    kubevirt_percent=150,
    leader=LEADER,
)
STATUS = OvercommitNodeStatus(
    observed_at="2026-09-01T10:00:00.000000Z",
    agent_version="1.2.0",
    memory=MemoryStatus(16 * GI, 8 * GI),
    swap=SwapStatus(8 * GI, GI, 6 * GI),
)
SIZE = Amounts.of(8000, 16 * GI)
NODE = NodeView(
    name="worker-1",
    ready=True,
    capacity=SIZE,
    allocatable=SIZE,
    sums=PodSums(pods=10, virtual_machines=5, guest_bytes=20 * GI),
    status=STATUS,
    age_seconds=1.0,
)
DB = ReliefCandidate(uid="u-db", namespace="shop", name="virt-launcher-db", virtual_machine=True)


def node(name: str = "worker-1", **changed: object) -> NodeView:
    """Return a node without pressure, with some fields of the node or of its status changed."""
    fields = set(OvercommitNodeStatus.__struct_fields__)
    status = structs.replace(STATUS, **{key: value for key, value in changed.items() if key in fields})
    own = {key: value for key, value in changed.items() if key not in fields}
    return structs.replace(NODE, name=name, **{"status": status, **own})


def test_promised_percent_is_of_ram_without_huge_pages() -> None:
    huge = node(memory=MemoryStatus(64 * GI, 8 * GI, hugetlb_bytes=48 * GI))
    assert (huge.promised_percent, NODE.promised_percent) == (125, 125)


def pressed(stage: Stage | None = None, **relief: object) -> NodeView:
    return node(
        pressure=PressureStatus("Critical", rule="stall", sentence="all wait 12 % of the time"),
        request=ReliefRequest("r1", "2026-09-01T10:00:00Z", candidates=(DB,)),
        relief=ReliefRecord(stage=stage, **relief),  # type: ignore[arg-type]
        tainted=True,
    )


def only(*nodes: NodeView, cluster: Clusterwide = CLUSTER) -> Gathered:
    (found,) = findings(cluster, nodes)
    return found


def words(*nodes: NodeView, cluster: Clusterwide = CLUSTER) -> list[str]:
    return [finding.word for finding in findings(cluster, nodes)]


def test_a_healthy_cluster_has_no_finding() -> None:
    assert findings(CLUSTER, [NODE]) == ()


def test_an_absent_agent_and_a_silent_one_are_found() -> None:
    found = only(node(status=None, age_seconds=None))
    assert (found.word, found.severity) == ("NoAgent", "Critical")
    assert found.fix.endswith("--field-selector spec.nodeName=worker-1")
    found = only(node(age_seconds=91.0, ready=False))
    assert found.severity == "Critical"
    assert "silent since 2026-09-01T10:00:00" in found.sentence
    assert "the node is not Ready" in found.sentence
    assert words(node(age_seconds=89.0)) == []


def test_swap_smaller_than_the_formula_demands_is_found() -> None:
    short = only(node(swap=SwapStatus(5 * GI)))
    assert (short.word, short.severity) == ("SwapTooSmall", "Warning")
    assert "less swap than 150 % needs: 5Gi of 8Gi" in short.sentence
    assert short.fix == "overbook node swap apply --percent 150"
    # Its guests do not fit into RAM and swap together.
    assert only(node(swap=SwapStatus(3 * GI))).severity == "Critical"


def test_a_swap_header_and_a_control_plane_are_no_shortage() -> None:
    assert words(node(swap=SwapStatus(8 * GI - 4096))) == []
    idle = PodSums(pods=10)
    assert words(node(swap=SwapStatus(), control_plane=True, sums=idle)) == []
    assert words(node(swap=SwapStatus(), sums=idle)) == ["SwapTooSmall"]


def test_the_kubelets_swap_counts_without_an_agent() -> None:
    lonely = node(status=None, age_seconds=None, kubelet_swap_bytes=0)
    assert words(lonely) == ["NoAgent", "SwapTooSmall"]
    assert words(structs.replace(lonely, kubelet_swap_bytes=None)) == ["NoAgent"]


def test_more_promised_than_the_percentage_is_found() -> None:
    found = only(node(sums=PodSums(pods=9, virtual_machines=9, guest_bytes=26 * GI)))
    assert (found.word, found.fix) == ("PromisedTooMuch", "kubectl cordon worker-1")
    assert "26Gi, 162 %" in found.sentence


def test_pressure_is_critical_until_a_pod_is_leaving() -> None:
    alone = only(pressed())
    assert (alone.word, alone.severity) == ("PressureCritical", "Critical")
    assert "all wait 12 % of the time" in alone.sentence
    assert alone.fix == "overbook status pod shop/virt-launcher-db"
    helped = only(
        pressed("Migrating", victim="shop/virt-launcher-db", message="migrating shop/db to worker-2")
    )
    assert helped.severity == "Warning"
    assert "migrating shop/db to worker-2" in helped.sentence


def test_a_refusal_names_the_budget_that_refuses() -> None:
    refusal = Refusal(
        "u-db",
        "shop/virt-launcher-db",
        "DisruptionBudget",
        "The disruption budget db-budget needs 1 healthy pods and has 1 currently",
        "2026-09-01T10:00:00Z",
    )
    first, second = findings(CLUSTER, [pressed("Refused", refusals=(refusal,))])
    assert (first.word, first.severity) == ("EveryoneRefused", "Critical")
    assert first.fix == "kubectl -n shop get pdb db-budget"
    assert second.word == "PressureCritical"
    other = structs.replace(refusal, message="not live-migratable")
    assert findings(CLUSTER, [pressed("Refused", refusals=(other,))])[0].fix.startswith("overbook status pod")


def test_waiting_and_failed_relief_is_reported() -> None:
    waits = findings(CLUSTER, [pressed("Waiting", message="5 of 5 guests are on their way")])
    assert "5 of 5 guests are on their way" in next(w.sentence for w in waits if w.word == "ReliefWaits")
    failed = ReliefOutcome("r0", "shop/x", "GivenUp", "no progress for 120 s", "", "")
    assert "shop/x: no progress" in only(node(relief=ReliefRecord(outcomes=(failed,)))).sentence


@pytest.mark.parametrize(
    ("message", "fix"),
    [
        (
            "KubeVirt's limit of 2 live migrations at once is used up",
            "kubectl get vmim -A; kubectl get kubevirt",
        ),
        ("KubeVirt's webhook for evictions does not answer", "kubectl get pods -A -l kubevirt.io=virt-api"),
        ("the cluster's limit of 5 reliefs at once is used up", "kubectl get overcommit cluster"),
    ],
)
def test_a_waiting_reliefs_fix_is_for_what_it_waits_for(message: str, fix: str) -> None:
    found = next(
        one for one in findings(CLUSTER, [pressed("Waiting", message=message)]) if one.word == "ReliefWaits"
    )
    assert found.fix.startswith(fix)


@pytest.mark.parametrize(
    ("reason", "message", "fix"),
    [
        ("MigrationRejected", "migrationRejectedByResourceQuota", "kubectl -n shop describe resourcequota"),
        ("MigrationFailed", "stuck", "kubectl -n shop get vmim"),
        ("WebhookFailed", "failed calling webhook", "kubectl get pods -A -l kubevirt.io=virt-api"),
        (
            "MigrationStalled",
            "no progress; not cancelled (404): virtctl evacuate-cancel vmi db --namespace shop",
            "virtctl evacuate-cancel vmi db --namespace shop",
        ),
    ],
)
def test_a_refusals_fix_is_for_the_object_that_refused(reason: str, message: str, fix: str) -> None:
    refusal = Refusal("u", "shop/virt-launcher-db", reason, message, "2026-09-01T10:00:00Z")
    assert findings(CLUSTER, [pressed("Refused", refusals=(refusal,))])[0].fix == fix


def test_an_evacuation_that_nobody_wants_is_noted() -> None:
    cluster = structs.replace(CLUSTER, marked=(MarkedMachine("shop", "db", "worker-1"),))
    found = only(node(), cluster=cluster)
    assert (found.word, found.severity) == ("EvacuationLeft", "Note")
    assert found.fix == "virtctl evacuate-cancel vmi db --namespace shop"
    assert "EvacuationLeft" not in words(node(cordoned=True), cluster=cluster), "somebody drains it"
    assert "EvacuationLeft" not in words(pressed("Migrating"), cluster=cluster)


def test_a_taint_without_a_live_agent_is_found() -> None:
    abandoned = findings(CLUSTER, [node(tainted=True, age_seconds=900.0)])
    assert [finding.word for finding in abandoned] == ["AgentSilent", "TaintLeft"]
    assert abandoned[1].fix == "kubectl taint node worker-1 overbook.dev/memory-pressure:NoSchedule-"
    assert "TaintLeft" not in words(pressed())


def test_a_vm_that_would_be_restarted_is_reported_in_advance() -> None:
    cluster = structs.replace(CLUSTER, guests={"u-db": EvictableMachine("db", "None")})
    found = next(one for one in findings(cluster, [pressed()]) if one.word == "WouldRestart")
    assert found.sentence.startswith("virtual machine shop/virt-launcher-db: ")
    assert "kubectl -n shop patch vm db " in found.fix
    migratable = structs.replace(CLUSTER, guests={"u-db": EvictableMachine("db", "LiveMigrate")})
    assert "WouldRestart" not in words(pressed(), cluster=migratable)


def test_an_agents_problems_are_passed_on_unless_judged_here() -> None:
    problems = (Problem("TwoAgents", "another agent writes, too", "stop one"), Problem("NoSwap", "no swap"))
    found = only(node(problems=problems))
    assert (found.word, found.fix) == ("TwoAgents", "stop one")
    assert "another agent writes, too" in found.sentence


def test_findings_of_many_nodes_are_one_with_the_worst_first() -> None:
    many = [node(f"worker-{n}", swap=SwapStatus((n % 40) * GI // 8)) for n in range(1, 38)]
    found = only(*many)
    assert found.sentence == (
        "37 nodes: less swap than 150 % needs; first worker-1: 128Mi of 8Gi; "
        "also worker-2, worker-3, worker-4, worker-5 and 32 more"
    )
    assert found.severity == "Critical"
    assert len(found.subjects) == 37


def test_the_worst_finding_comes_first() -> None:
    nodes = [
        node("a", problems=(Problem("NoReclaim", "old kernel"),)),
        node("b", status=None, age_seconds=None),
        structs.replace(pressed(), name="c"),
    ]
    cluster = structs.replace(CLUSTER, overcommit=Overcommit(spec=OvercommitSpec(percentage=150)))
    severities = [finding.severity for finding in findings(cluster, nodes)]
    assert severities == ["Critical", "Critical", "Warning", "Note"]


def test_findings_about_the_cluster_are_reported() -> None:
    def settings(**spec: object) -> Clusterwide:
        written = OvercommitSpec(**{"percentage": 150, "mode": "Enforce", **spec})  # type: ignore[arg-type]
        return structs.replace(CLUSTER, overcommit=Overcommit(spec=written))

    paused = only(NODE, cluster=settings(paused=True))
    assert paused.fix == """kubectl patch overcommit cluster --type merge -p '{"spec":{"paused":false}}'"""
    assert words(NODE, cluster=settings(mode="Observe")) == ["Observes"]
    differ = only(NODE, cluster=structs.replace(CLUSTER, kubevirt_percent=200))
    assert "KubeVirt has 200, Overcommit cluster has 150" in differ.sentence
    assert '{"spec":{"percentage":200}}' in differ.fix
    assert words(NODE, node("b", agent_version="1.1.0")) == ["AgentVersionsDiffer"]


@pytest.mark.parametrize(
    ("unusable", "text"),
    [
        (Unusable("NoOvercommit"), "there is no Overcommit named cluster, so nothing is changed"),
        (Unusable("OvercommitUnreadable", "spec.mode: Invalid"), "(spec.mode: Invalid), so nothing"),
    ],
)
def test_an_unusable_overcommit_is_one_warning(unusable: Unusable, text: str) -> None:
    cluster = structs.replace(CLUSTER, overcommit=None, unusable=unusable)
    known = Problem(unusable.word, unusable.sentence, unusable.fix)
    found = only(*(node(name, problems=(known,)) for name in "abc"), cluster=cluster)
    assert (found.word, found.severity, found.fix) == (unusable.word, "Warning", unusable.fix)
    assert text in found.sentence


def test_no_controller_is_critical_only_if_a_node_waits_for_it() -> None:
    gone = structs.replace(CLUSTER, leader=LeadingController("controller-a", 300.0))
    found = only(NODE, cluster=gone)
    assert (found.word, found.severity) == ("NoController", "Warning")
    assert findings(gone, [pressed()])[0].severity == "Critical"
    assert "the last leader was controller-a" in found.sentence


def test_a_cluster_without_overbook_has_one_finding_about_agents() -> None:
    absent = Clusterwide(
        unread=(
            Unread("overcommits", "NotInstalled", ""),
            Unread("overcommitnodes", "NotInstalled", ""),
        )
    )
    found = only(node(status=None, age_seconds=None), cluster=absent)
    assert (found.word, found.severity) == ("NotInstalled", "Critical")


@pytest.mark.parametrize(
    ("resource", "severity"), [("pods", "Warning"), ("overcommitnodes", "Warning"), ("leases", "Note")]
)
def test_a_missing_right_is_named_with_the_granting_command(resource: str, severity: str) -> None:
    message = f'{resource} is forbidden: User "alice" cannot list resource "{resource}" in API group ""'
    cluster = structs.replace(CLUSTER, unread=(Unread(resource, "Forbidden", message),))
    found = only(
        node(status=None, age_seconds=None) if resource == "overcommitnodes" else NODE, cluster=cluster
    )
    assert found.severity == severity
    assert re.match(rf"{resource} cannot be read: .*: you have no right to read them", found.sentence)
    assert found.fix.endswith("--clusterrole=overbook-status --user=alice")
