from collections.abc import Iterator

import pytest

from tests.webhook.running import (
    SWITCH,
    Webhook,
    cluster_override,
    limit_range,
    namespace,
    running,
    write_manifests,
)


@pytest.fixture(scope="session")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """Tests that change no state share this webhook: half of memory limits, a quarter of CPU limits."""
    percentages = {"memoryRequestToLimitPercent": 50, "cpuRequestToLimitPercent": 25}
    batch = {
        "apiVersion": "autoscaling.openshift.io/v1",
        "kind": "ResourceOverride",
        "metadata": {
            "name": "batch",
            "namespace": "shop",
            "annotations": {"overbook.dev/pod-opt-out": "Allowed"},
        },
        "spec": {
            "podSelector": {"matchLabels": {"tier": "batch"}},
            "podResourceOverride": {"memoryRequestToLimitPercent": 10},
        },
    }
    watched = {
        **batch,
        "metadata": {"name": "watched", "namespace": "shop", "annotations": {"overbook.dev/mode": "Observe"}},
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "watched", "operator": "Exists"}]},
            "podResourceOverride": {"memoryRequestToLimitPercent": 20},
        },
    }
    folder = write_manifests(
        tmp_path_factory.mktemp("webhook") / "manifests",
        cluster_override(**percentages),
        namespace("shop"),
        namespace("strict"),
        namespace("billing", **{SWITCH: "false"}),
        namespace("other", enabled=None),
        namespace("openshift-monitoring"),
        limit_range("sizes", "strict", {"type": "Container", "min": {"memory": "100Mi", "cpu": "50m"}}),
        namespace("ratio"),
        limit_range("ratio", "ratio", {"type": "Pod", "maxLimitRequestRatio": {"memory": "1500m"}}),
        batch,
        watched,
    )
    with running(folder) as server:
        yield server
