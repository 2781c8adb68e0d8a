"""The real API server accepts the annotations that the webhook adds, for container names of any length."""

from typing import Any

import pytest

from overbook.core.api.override import ClusterResourceOverride
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.override.admission import ClusterPolicy, admit, namespace_policy
from overbook.core.override.patch import patch_operations
from overbook.core.override.source import cluster_source
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.dry_run import try_pods
from tests.conformance.answer import apply_patch

POLICY = ClusterPolicy(
    override=cluster_source(
        convert(
            {
                "metadata": {"name": "cluster"},
                "spec": {"podResourceOverride": {"spec": {"cpuRequestToRequestPercent": 50}}},
            },
            ClusterResourceOverride,
            "",
        )
    )
)


def overridden(names: list[str]) -> dict[str, Any]:
    containers = [{"name": name, "image": "x", "resources": {"requests": {"cpu": "1"}}} for name in names]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": containers}}
    decoded = convert(pod, Pod, "")
    admission = admit(decoded, namespace_policy("shop", enabled="true"), POLICY)
    assert admission.outcome == "Overridden"
    apply_patch(pod, patch_operations(decoded, admission.override))
    return pod


@pytest.mark.parametrize("length", [1, 41, 42, 43, 49, 62, 63])
def test_a_container_name_of_any_length_is_accepted(
    cluster: ControlPlane, namespace: str, length: int
) -> None:
    names = ["c" * length, *(["d" + "e" * (length - 2) + "f"] if length > 1 else [])]
    (answer,) = try_pods(cluster, namespace, [overridden(names)])
    assert isinstance(answer, dict), answer
