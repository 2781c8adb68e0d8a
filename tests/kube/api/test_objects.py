import json

from overbook.core.api.overcommit_node import OvercommitNode, OvercommitNodeStatus, ReliefRecord
from overbook.core.kubernetes.pod import ObjectMeta
from overbook.core.kubernetes.qos import is_critical
from overbook.core.timestamp import to_timestamp, to_whole_timestamp
from overbook.kube.api.client import as_json, as_object
from overbook.kube.api.kinds import EVENTS, LEASES, NODES, OVERCOMMIT_NODES, PODS, key_of


def test_none_is_left_out_at_every_level() -> None:
    status = OvercommitNodeStatus(relief=ReliefRecord(request_id="r"))
    plain = as_object(OvercommitNode(metadata=ObjectMeta(name="n"), status=status))
    assert plain["metadata"] == {"name": "n"}
    assert plain["status"]["relief"]["requestId"] == "r"
    assert "null" not in as_json(plain).decode()
    assert "request" not in plain["status"]
    mapping = {"a": None, "b": [{"c": None, "d": 0}, None], "e": ""}
    assert as_object(mapping) == {"b": [{"d": 0}, None], "e": ""}


def test_none_is_sent_in_a_patch() -> None:
    assert json.loads(as_json({"a": None})) == {"a": None}


def test_paths_of_objects_are_the_apis() -> None:
    assert PODS.path("p", "n", "eviction") == "/api/v1/namespaces/n/pods/p/eviction"
    assert PODS.path() == "/api/v1/pods"
    assert NODES.path("a b") == "/api/v1/nodes/a%20b"
    assert LEASES.path("l", "n") == "/apis/coordination.k8s.io/v1/namespaces/n/leases/l"
    assert OVERCOMMIT_NODES.path("n", subresource="status") == (
        "/apis/overbook.dev/v1alpha1/overcommitnodes/n/status"
    )
    assert (EVENTS.api_version, LEASES.api_version) == ("v1", "coordination.k8s.io/v1")
    assert key_of(OvercommitNode(metadata=ObjectMeta(name="n"))) == "n"
    assert key_of(OvercommitNode(metadata=ObjectMeta(name="n", namespace="s"))) == "s/n"


def test_times_are_written_like_the_apis() -> None:
    assert to_whole_timestamp(1_000_000_000.7) == "2001-09-09T01:46:40Z"
    assert to_timestamp(1_000_000_000.0000004) == "2001-09-09T01:46:40.000000Z"
    assert to_timestamp(999_999_999.9999999) == "2001-09-09T01:46:40.000000Z"
    assert to_timestamp(0.25) == "1970-01-01T00:00:00.250000Z"


def test_a_tenants_annotation_does_not_make_a_pod_static() -> None:
    pod = PODS.decode(
        b'{"metadata": {"name": "a", "annotations": {"kubernetes.io/config.source": "file", "b": "c"}}}'
    )
    assert not is_critical(pod)
    assert pod.annotations == {"b": "c"}


def test_a_mirror_pod_of_the_api_is_static() -> None:
    assert is_critical(PODS.decode(b'{"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}'))
