from typing import Any

import pytest

from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resize import resize_of
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts
from tests.core.pod_manifests import GI

WANTED = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}


def running(
    allocated: dict[str, str] | None,
    actual: dict[str, Any] | None,
    *conditions: tuple[str, str],
    wanted: dict[str, Any] | None = None,
) -> Pod:
    """Return a running pod with one container; conditions are types with a reason."""
    manifest = {
        "metadata": {"name": "cache-0", "uid": "u"},
        "spec": {"containers": [{"name": "a", "resources": wanted or WANTED}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True"},
                *({"type": kind, "status": "True", "reason": why} for kind, why in conditions),
            ],
            "containerStatuses": [{"name": "a", "allocatedResources": allocated, "resources": actual}],
        },
    }
    return convert(manifest, Pod, "Pod")


OLD = {"cpu": "1", "memory": "4Gi"}
IN_FORCE = {"requests": OLD, "limits": {"memory": "6Gi"}}


@pytest.mark.parametrize(
    ("condition", "state", "reserved"),
    [
        (("PodResizePending", "Deferred"), "Deferred", 4 * GI),
        (("PodResizePending", "Infeasible"), "Infeasible", 4 * GI),
        (("PodResizeInProgress", ""), "InProgress", 4 * GI),
    ],
)
def test_a_waiting_resize_goes_on_with_what_is_allocated(
    condition: tuple[str, str], state: str, reserved: int
) -> None:
    found = resize_of(running(OLD, IN_FORCE, condition))
    assert found is not None
    assert (found.state, found.reserved.memory_bytes) == (state, reserved)
    resolved = resolve(found.pod)
    assert resolved.requests == Amounts.of(1000, 4 * GI)
    assert resolved.limits.memory_bytes == 6 * GI


def test_an_infeasible_resize_reserves_no_more_for_its_spec() -> None:
    wanted = {"requests": {"cpu": "1", "memory": "512Gi"}}
    infeasible = resize_of(running(OLD, IN_FORCE, ("PodResizePending", "Infeasible"), wanted=wanted))
    assert infeasible is not None
    assert infeasible.reserved.memory_bytes == 4 * GI
    deferred = resize_of(running(OLD, IN_FORCE, ("PodResizePending", "Deferred"), wanted=wanted))
    assert deferred is not None
    assert deferred.reserved.memory_bytes == 512 * GI


def test_a_resize_that_is_not_looked_at_yet_has_no_condition() -> None:
    found = resize_of(running(OLD, IN_FORCE))
    assert found is not None
    assert found.state == "Proposed"


@pytest.mark.parametrize(
    ("allocated", "actual"),
    [
        ({"cpu": "1", "memory": "1Gi"}, WANTED),
        ({"cpu": "1000m", "memory": "1024Mi"}, WANTED),
        (None, None),
        (None, WANTED),
    ],
)
def test_a_pod_that_has_what_it_wants_does_not_wait(allocated: Any, actual: Any) -> None:
    assert resize_of(running(allocated, actual)) is None


def test_a_pod_without_a_status_does_not_wait() -> None:
    assert (
        resize_of(convert({"spec": {"containers": [{"name": "a", "resources": WANTED}]}}, Pod, "Pod")) is None
    )


def test_a_resize_of_pod_level_resources_waits_likewise() -> None:
    manifest = {
        "spec": {"containers": [{"name": "a"}], "resources": {"requests": {"memory": "1Gi"}}},
        "status": {
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": "Deferred"}],
            "allocatedResources": {"memory": "4Gi"},
            "resources": {"requests": {"memory": "4Gi"}},
        },
    }
    found = resize_of(convert(manifest, Pod, "Pod"))
    assert found is not None
    assert resolve(found.pod).requests.memory_bytes == 4 * GI
