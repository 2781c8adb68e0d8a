"""The running server gives the real component's answers."""

import json
from pathlib import Path
from typing import Any

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.admissibility import complaint, constraints
from overbook.core.kubernetes.limit_range import LimitRange
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.quantity import parse
from overbook.core.kubernetes.resolved import resolve
from overbook.core.override.override import original_request_key
from tests.conformance.test_vectors import questions
from tests.webhook.running import (
    Webhook,
    namespace,
    patched,
    response_of,
    review,
    running,
    write_manifests,
)


def test_every_pod_is_overridden_as_by_the_component(tmp_path: Path) -> None:
    """Exceptions are results that the API server refuses, and annotations that no first pass has written."""
    lines = questions("override")
    objects: list[dict[str, Any]] = []
    for number, line in enumerate(lines):
        objects.append(namespace(f"space-{number}"))
        objects += [_moved(one, f"space-{number}") for one in line["limitRanges"] or ()]
        objects.append(_override(line["override"], f"space-{number}"))
    refused = disbelieved = 0
    with running(write_manifests(tmp_path / "manifests", *objects)) as webhook:
        for number, line, response in _answers(webhook, lines):
            result = patched(line["pod"], response)
            if result == line["expect"]:
                continue
            where = f"line {number + 1}"
            if line["override"]["cpuRequestToRequestPercent"] and _has_false_note(line["pod"]):
                disbelieved += 1
            else:
                refused += not _refused(line["pod"], line)
                assert _refused(line["expect"], line), where
                said = response["warnings"]
                assert "patch" in response or all("not overridden" in one for one in said), where
            assert not _refused(result, line) or _refused(line["pod"], line), where
    assert refused < len(lines) / 10
    assert disbelieved < len(lines) / 20


def _has_false_note(pod: dict[str, Any]) -> bool:
    """Whether an annotation is no quantity, or claims more than the present request."""
    annotations = pod["metadata"].get("annotations") or {}
    for one in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]:
        noted = annotations.get(original_request_key(one["name"]))
        request = one.get("resources", {}).get("requests", {}).get("cpu")
        if noted is None:
            continue
        try:
            claimed = parse(noted)
        except InvalidInput:
            return True
        if claimed.digits <= 0 or (request and claimed.milli() > parse(request).milli()):
            return True
    return False


def _answers(webhook: Webhook, lines: list[dict[str, Any]]) -> Any:
    connection = webhook.connection()
    for number, line in enumerate(lines):
        body = json.dumps(review(line["pod"], f"space-{number}")).encode()
        connection.request("POST", "/override", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        yield number, line, response_of(data)
    connection.close()


def _refused(pod: dict[str, Any], line: dict[str, Any]) -> str:
    ranges = [convert(one, LimitRange, "") for one in line["limitRanges"] or ()]
    resolved = resolve(convert(pod, Pod, ""))
    return complaint(resolved, resolved.level, constraints(ranges))


def _moved(limit_range: dict[str, Any], space: str) -> dict[str, Any]:
    return {**limit_range, "metadata": {**limit_range["metadata"], "namespace": space}}


def _override(percentages: dict[str, Any], space: str) -> dict[str, Any]:
    return {
        "apiVersion": "autoscaling.openshift.io/v1",
        "kind": "ResourceOverride",
        "metadata": {"name": "percentages", "namespace": space},
        "spec": {"podResourceOverride": percentages},
    }
