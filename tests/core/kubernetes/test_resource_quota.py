from typing import Any

import pytest

from overbook.core.kubernetes.pod import convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resource_quota import ResourceQuota, quota_refusal
from tests.core.pod_manifests import pod_of


def quota(**spec: Any) -> ResourceQuota:
    return convert({"metadata": {"name": "q"}, "spec": spec}, ResourceQuota, "ResourceQuota")


FULL = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}


@pytest.mark.parametrize(
    ("hard", "resources", "text"),
    [
        ({"limits.memory": "64Gi"}, FULL, ""),
        ({"limits.memory": "64Gi"}, {"requests": FULL["requests"]}, "container c0 gives none"),
        ({"cpu": "8"}, {"limits": FULL["limits"]}, ""),
        ({"requests.cpu": "500m"}, FULL, "allows requests.cpu 500m, and the pod has 1"),
        ({"limits.memory": "1Gi"}, FULL, "allows limits.memory 1Gi, and the pod has 2Gi"),
        ({"pods": "0"}, FULL, "allows no pods"),
        ({"pods": "1", "services": "0", "requests.storage": "0"}, FULL, ""),
    ],
)
def test_a_quota_keeps_out_what_gives_too_much_or_nothing(
    hard: dict[str, str], resources: dict[str, Any], text: str
) -> None:
    found = quota_refusal(resolve(pod_of(resources)), [quota(hard=hard)])
    assert text in found if text else not found


def test_init_containers_count_and_quotas_with_scopes_do_not() -> None:
    pod = resolve(pod_of(FULL, init=[{"resources": {"requests": {"cpu": "1"}}}]))
    assert "container i0" in quota_refusal(pod, [quota(hard={"limits.cpu": "9"})])
    assert quota_refusal(pod, [quota(hard={"limits.cpu": "9"}, scopes=["Terminating"])]) == ""
    assert quota(hard={"limits.cpu": "9"}).resources == {"limits.cpu"}


@pytest.mark.parametrize("name", ["requests.hugepages-2Mi", "hugepages-2Mi"])
def test_large_pages_count_in_a_quota(name: str) -> None:
    pages = {"limits": {"hugepages-2Mi": "2Mi"}}
    more = [{"resources": {"limits": {"hugepages-2Mi": "6Mi"}}}]
    sidecar = [{"restartPolicy": "Always", "resources": pages}]
    level = {"limits": {"hugepages-2Mi": "8Mi"}}
    for pod, needed in (
        (pod_of(pages, pages), "4Mi"),
        (pod_of(pages, pages, init=more), "6Mi"),
        (pod_of(pages, pages, init=sidecar), "6Mi"),
        (pod_of(pages, resources=level), "8Mi"),
    ):
        found = quota_refusal(resolve(pod), [quota(hard={name: "3Mi"})])
        assert found == f"ResourceQuota/q allows requests.hugepages-2Mi 3Mi, and the pod has {needed}"
        assert not quota_refusal(resolve(pod), [quota(hard={name: needed})])
