"""An agent that renews its Lease works, however old its report is; without Leases, silence is no news."""

from overbook.core.api.heartbeat import MOST_STATUS_SECONDS
from overbook.core.api.overcommit_node import OvercommitNode, OvercommitNodeStatus
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.timestamp import from_timestamp
from overbook.kube.api.objects import Lease, LeaseSpec, Node
from overbook.status.node_findings import is_silent
from overbook.status.node_views import renewals, view_of
from overbook.status.sums import NO_PODS
from overbook.status.view import Clusterwide, NodeView, Unread

REPORTED, RENEWED = "2026-12-01T10:00:00.000000Z", "2026-12-01T10:04:50.000000Z"
NOW = from_timestamp("2026-12-01T10:05:00.000000Z") or 0.0
CLUSTER = Clusterwide()


def view(renewed: str | None) -> NodeView:
    report = OvercommitNode(metadata=ObjectMeta(name="a"), status=OvercommitNodeStatus(observed_at=REPORTED))
    return view_of(Node(metadata=ObjectMeta(name="a")), report, NO_PODS, NOW, renewed)


def test_the_later_of_report_and_renewal_is_the_sign_of_life() -> None:
    assert (view(RENEWED).age_seconds, view(RENEWED).seen_at) == (10.0, RENEWED)
    assert (view(None).age_seconds, view(None).seen_at) == (300.0, REPORTED)
    assert view("2026-12-01T09:00:00.000000Z").age_seconds == 300.0
    assert view("yesterday").age_seconds == 300.0
    assert not is_silent(view(RENEWED), CLUSTER)
    assert is_silent(view(None), CLUSTER)


def test_an_agent_is_not_called_silent_without_its_lease() -> None:
    unread = Clusterwide(unread=(Unread("heartbeats", "Forbidden", "no right"),))
    assert not is_silent(view(None), unread)
    later = view_of(
        Node(metadata=ObjectMeta(name="a")),
        OvercommitNode(status=OvercommitNodeStatus(observed_at=REPORTED)),
        NO_PODS,
        NOW + MOST_STATUS_SECONDS + 91,
    )
    assert is_silent(later, unread)


def test_leases_without_a_time_say_nothing() -> None:
    leases = (
        Lease(metadata=ObjectMeta(name="a"), spec=LeaseSpec(renew_time=RENEWED)),
        Lease(metadata=ObjectMeta(name="b")),
    )
    assert renewals(leases) == {"a": RENEWED}
