"""A fuzzed patch applies, its result is as the rules require, and nothing else of the pod changes."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from overbook.core.api.override import PodResourceOverride, ResourceOverride, ResourceOverrideSpec
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubernetes.pod import ObjectMeta, Pod, convert
from overbook.core.override.admission import admit
from overbook.core.override.override import apply
from overbook.core.override.switches import NamespaceLabels, NamespaceMetadata, NamespaceSwitches
from overbook.webhook.endpoints import review_handler
from overbook.webhook.http_protocol import HttpRequest
from overbook.webhook.metrics import WebhookMetrics
from overbook.webhook.policies import Policies
from overbook.webhook.review import NotAReview, Reviewer
from tests.webhook.running import limit_range, patched, response_of, review

CHANGED = ("cpu", "memory")

quantities: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["0", "1m", "250m", "2", "1Gi", "1G", "1e9", "1.5Gi", "3Mi", "123456789", "100Mi"]),
    st.sampled_from(["", "junk", "-1", "9" * 40, "1e99999", None, 5, 1.5, True, [], {}]),
    st.text(max_size=5),
)
resource_lists = st.none() | st.dictionaries(
    st.sampled_from(["cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "a/b~c"]), quantities, max_size=4
)
resources = st.none() | st.fixed_dictionaries(
    {}, optional={"requests": resource_lists, "limits": resource_lists, "claims": st.just([{"name": "a"}])}
)
names = st.text(st.characters(codec="utf-8"), max_size=8)
containers = st.lists(
    st.fixed_dictionaries(
        {"name": names, "image": names},
        optional={"resources": resources, "env": st.just([{"name": "a/b", "value": "~1"}])},
    ),
    max_size=4,
)
annotations = st.none() | st.dictionaries(
    st.sampled_from(
        [
            "a/b~c",
            "clusterresourceoverrides.admission.autoscaling.openshift.io/original-cpu-request-c",
            "quota.openshift.io/cluster-resource-override-enabled",
        ]
    ),
    st.sampled_from(["", "1", "500m", "false", "junk"]),
    max_size=3,
)
pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({}, optional={"name": names, "annotations": annotations}),
        "spec": st.fixed_dictionaries(
            {"containers": containers},
            optional={"initContainers": containers | st.none(), "resources": resources, "nodeName": names},
        ),
    }
)
percents = st.integers(0, 100)
policies = st.builds(
    PodResourceOverride,
    memory_request_to_limit_percent=percents,
    cpu_request_to_limit_percent=percents,
    limit_cpu_to_memory_percent=st.integers(0, 300),
    cpu_request_to_request_percent=percents,
    mode=st.sampled_from(["Enforce", "Enforce", "Observe"]),
    pod_opt_out=st.booleans(),
)
bounds = st.fixed_dictionaries(
    {"type": st.sampled_from(["Container", "Pod"])},
    optional={
        "min": st.sampled_from([{"memory": "100Mi"}, {"cpu": "50m", "memory": "2Mi"}]),
        "max": st.sampled_from([{"memory": "1Gi"}, {"cpu": "1"}]),
        "maxLimitRequestRatio": st.sampled_from([{"memory": "2"}, {"cpu": "1500m"}]),
    },
)


def reviewer_of(settings: PodResourceOverride, items: list[dict[str, Any]]) -> tuple[Reviewer, Policies]:
    known = Policies()
    labels = NamespaceLabels(enabled="true")
    known.set_namespace("shop", NamespaceSwitches(metadata=NamespaceMetadata(name="shop", labels=labels)))
    known.set_limit_range("shop", "sizes", convert(limit_range("sizes", "shop", *items), LimitRange, ""))
    spec = ResourceOverrideSpec(pod_resource_override=settings)
    known.set_override("Own", "shop", "all", ResourceOverride(metadata=ObjectMeta(name="all"), spec=spec))
    return Reviewer(known, WebhookMetrics()), known


@given(pods, policies, st.lists(bounds, max_size=3))
def test_the_patch_changes_what_the_rules_say_and_nothing_else(
    pod: dict[str, Any], settings: PodResourceOverride, items: list[dict[str, Any]]
) -> None:
    reviewer, known = reviewer_of(settings, items)
    body = json.dumps(review(pod)).encode()
    response = response_of(reviewer.answer(body, 0.0))
    result = patched(pod, response)
    try:
        typed = convert(json.loads(json.dumps(pod)), Pod, "Pod")
    except InvalidInput:
        assert result == pod
        return
    admission = admit(typed, known.of("shop"), known.cluster)
    assert ("patch" in response) == (admission.outcome == "Overridden")
    if admission.outcome == "Overridden":
        expected = apply(typed, admission.override.changes)
        assert convert(result, Pod, "Pod").spec == expected.spec
        notes = result["metadata"].get("annotations") or {}
        assert notes == {**(pod["metadata"].get("annotations") or {}), **admission.override.annotations}
    assert _without_cpu_and_memory(result) == _without_cpu_and_memory(pod)
    # The answer for a second pod with the same content is the one that was kept.
    assert response_of(reviewer.answer(body, 0.0)) == response


@given(pods, pods, policies, st.lists(bounds, max_size=2))
def test_a_resize_is_answered_and_keeps_everything_but_resources(
    old: dict[str, Any], pod: dict[str, Any], settings: PodResourceOverride, items: list[dict[str, Any]]
) -> None:
    reviewer, _ = reviewer_of(settings, items)
    asked: dict[str, Any] = {"operation": "UPDATE", "subResource": "resize", "oldObject": old}
    response = response_of(reviewer.answer(json.dumps(review(pod, **asked)).encode(), 0.0))
    assert _without_cpu_and_memory(patched(pod, response)) == _without_cpu_and_memory(pod)
    others: list[dict[str, Any]] = [{"subResource": "status"}, {"subResource": ""}, {"operation": "CREATE"}]
    for other in others:
        body = json.dumps(review(pod, **{**asked, **other})).encode()
        assert "patch" not in response_of(reviewer.answer(body, 0.0))


def test_a_resize_back_to_the_limit_is_patched() -> None:
    reviewer, _ = reviewer_of(PodResourceOverride(memory_request_to_limit_percent=50), [])

    def pod(request: str) -> dict[str, Any]:
        sizes = {"limits": {"memory": "1Gi"}, "requests": {"memory": request}}
        return {"metadata": {}, "spec": {"containers": [{"name": "a", "resources": sizes}]}}

    asked: dict[str, Any] = {"operation": "UPDATE", "subResource": "resize", "oldObject": pod("512Mi")}
    response = response_of(reviewer.answer(json.dumps(review(pod("1Gi"), **asked)).encode(), 0.0))
    assert patched(pod("1Gi"), response) == pod("512Mi")


def _without_cpu_and_memory(pod: dict[str, Any]) -> Any:
    rest = json.loads(json.dumps(pod))
    rest["metadata"].pop("annotations", None)
    spec = rest["spec"]
    for holder in (spec, *spec["containers"], *(spec.get("initContainers") or ())):
        written = holder.get("resources") or {}
        kept = {
            part: {name: value for name, value in (written.get(part) or {}).items() if name not in CHANGED}
            for part in ("requests", "limits")
        }
        holder["resources"] = {**written, **kept}
    return rest


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_give_an_answer_or_a_refusal(body: bytes) -> None:
    reviewer, _ = reviewer_of(PodResourceOverride(memory_request_to_limit_percent=50), [])
    with suppress(NotAReview):
        response_of(reviewer.answer(body, 0.0))


whole = json.dumps(review({"metadata": {}, "spec": {"containers": [{"name": "a"}]}})).encode()


@given(st.data())
def test_a_review_with_changed_bytes_is_answered_or_refused(data: st.DataObject) -> None:
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reviewer, _ = reviewer_of(PodResourceOverride(memory_request_to_limit_percent=50), [])
    answer = review_handler(reviewer)(
        HttpRequest(b"POST", b"/override", b"application/json", bytes(changed), 0.0)
    )
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert "patch" not in response_of(answer.body)


@given(st.dictionaries(st.text(max_size=10), st.recursive(st.none() | st.integers() | st.text(), st.lists)))
def test_any_json_object_as_pod_is_admitted(pod: dict[str, Any]) -> None:
    reviewer, _ = reviewer_of(PodResourceOverride(memory_request_to_limit_percent=50), [])
    assert "patch" not in response_of(reviewer.answer(json.dumps(review(pod)).encode(), 0.0))
