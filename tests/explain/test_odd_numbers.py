"""Numbers that no cluster would use in earnest end no report."""

from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.explain.build import build_report
from tests.explain.inputs import inventory, node, pod, resources


@pytest.mark.parametrize("memory", [10**30, 1e30, 2**63, 2**64])
def test_a_number_beyond_64_bits_ends_no_report(memory: Any) -> None:
    errors: list[InvalidInput] = []
    found = inventory(pod("odd", resources(requests={"memory": memory})), pod("p"), errors=errors)
    report = build_report(found, node(), errors.append)
    assert "lab/p" in [one.name for one in report.pods]
    assert len(report.pods) + len(errors) == 2
