"""Numbers that no cluster would use in earnest end no report."""

from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.explain.build import build_report
from tests.explain.inputs import inventory, node, pod, resources, workload


@pytest.mark.parametrize("memory", [10**30, 1e30, 2**63, 2**64])
def test_a_number_beyond_64_bits_ends_no_report(memory: Any) -> None:
    errors: list[InvalidInput] = []
    found = inventory(pod("odd", resources(requests={"memory": memory})), pod("p"), errors=errors)
    report = build_report(found, node(), errors.append)
    assert "lab/p" in [one.name for one in report.pods]
    assert len(report.pods) + len(errors) == 2


def vm_of(**domain: Any) -> dict[str, Any]:
    spec = {"runStrategy": "Always", "template": {"spec": {"domain": domain}}}
    return workload("VirtualMachine", "kubevirt.io/v1", "vm", spec)


@pytest.mark.parametrize(
    "odd",
    [
        vm_of(memory={"guest": "1Gi", "reservedOverhead": {"addedOverhead": 2**63}}),
        {**vm_of(memory={"guest": "1Gi"}), "kind": "VirtualMachineInstance", "status": {"phase": ["Failed"]}},
        {
            "apiVersion": "instancetype.kubevirt.io/v1beta1",
            "kind": "VirtualMachineInstancetype",
            "metadata": -1,
        },
        workload("LimitRange", "v1", "l", {"limits": [{"type": "Container", "default": {"memory": ""}}]}),
        workload(
            "KubeVirt",
            "kubevirt.io/v1",
            "k",
            {"configuration": {"developerConfiguration": {"memoryOvercommit": -1}}},
        ),
    ],
)
def test_an_odd_object_ends_no_report(odd: dict[str, Any]) -> None:
    errors: list[InvalidInput] = []
    report = build_report(inventory(odd, pod("p"), errors=errors), node(), errors.append)
    assert "lab/p" in [one.name for one in report.pods]
