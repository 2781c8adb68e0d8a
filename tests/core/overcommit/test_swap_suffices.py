"""Five parts report that a node's swap is too small; all of them call one function."""

import argparse
import io
import json
from contextlib import redirect_stdout
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from overbook.agent.problems import NodeFindings, node_problems
from overbook.cli.commands import swap_size
from overbook.core.api.overcommit import Overcommit, OvercommitSpec
from overbook.core.kubernetes.resources import Amounts
from overbook.core.kubevirt.overhead import MAIN
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.swap import SWAP_SLACK_BYTES, node_swap_bytes, swap_suffices
from overbook.explain.build import build_report
from overbook.explain.inventory import Found, Inventory
from overbook.explain.node import ExplainedNode
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.facts import HostState, SwapDevice
from overbook.status.node_findings import node_findings
from overbook.status.view import Clusterwide, NodeView
from tests.core.pod_manifests import pod_of

GIB = 1 << 30
PAGE = 4096
OWNER = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": "db", "controller": True}
TOO_SMALL = {"NoSwap", "SwapTooSmall"}


def swap_size_says(ram: int, swap: int, percent: int, huge: int = 0) -> bool:
    arguments = ["swap-size", "--ram", str(ram), "--swap", str(swap), "--overcommit", str(percent)]
    arguments += ["--huge-pages", str(huge)]
    parser = argparse.ArgumentParser()
    swap_size.add_parser(parser.add_subparsers())
    buffer = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(buffer)):
        status = swap_size.run(parser.parse_args([*arguments, "--output", "json"]))
        enough = json.loads(buffer.getvalue())["enough"]
    assert status == (0 if enough else 1)
    return bool(enough)


def explain_says(ram: int, swap: int, percent: int) -> bool:
    pod = pod_of({"requests": {"memory": "64Mi"}}, owners=[OWNER])
    found = Found("-", "Pod", "shop/vm", pod)
    policy = SwapPolicy(percent=percent)
    node = ExplainedNode(ram, swap, None, policy, MAIN, True, "default", "test", "test", "test")
    warnings = build_report(Inventory((found,), {}, {}), node).warnings
    return not any(warning.word in TOO_SMALL for warning in warnings)


def doctor_says(ram: int, swap: int, percent: int) -> bool:
    areas = (SwapDevice("/dev/vdb", swap),) if swap else ()
    findings = diagnose(HostState(memory_bytes=ram, swap=areas, percent=percent)).findings
    return not any(finding.word in TOO_SMALL for finding in findings)


def agent_says(ram: int, swap: int, percent: int) -> bool:
    found = NodeFindings(node_name="n", percent=percent, memory_total_bytes=ram, swap_total_bytes=swap)
    return not any(problem.word in TOO_SMALL for problem in node_problems(found))


def status_says(ram: int, swap: int, percent: int) -> bool:
    node = NodeView(name="n", capacity=Amounts.of(None, ram), kubelet_swap_bytes=swap)
    cluster = Clusterwide(overcommit=Overcommit(spec=OvercommitSpec(percentage=percent)))
    return not any(finding.word in TOO_SMALL for finding in node_findings([node], cluster))


def test_huge_pages_need_no_swap_in_explain_and_swap_size() -> None:
    pod = pod_of({"requests": {"memory": "64Mi"}}, owners=[OWNER])
    policy = SwapPolicy(percent=150)
    node = ExplainedNode(
        64 * GIB, 8 * GIB, None, policy, MAIN, True, "", "", "", "", huge_pages_bytes=48 * GIB
    )
    report = build_report(Inventory((Found("-", "Pod", "shop/vm", pod),), {}, {}), node)
    assert not any(warning.word in TOO_SMALL for warning in report.warnings)
    assert report.node.huge_pages_bytes == 48 * GIB
    assert swap_size_says(64 * GIB, 8 * GIB, 150, 48 * GIB)
    assert not swap_size_says(64 * GIB, 8 * GIB, 150)


EVERYBODY: Final = (swap_size_says, explain_says, doctor_says, agent_says, status_says)


@given(
    st.integers(GIB, 1 << 42),
    st.integers(100, 400),
    st.integers(-3 * SWAP_SLACK_BYTES, 3 * SWAP_SLACK_BYTES),
)
@example(16 * GIB, 150, 0)
@example(16 * GIB, 150, -PAGE)  # the swap area that mkswap makes in a file of 8Gi
@example(16 * GIB, 150, -SWAP_SLACK_BYTES)
@example(16 * GIB, 150, -SWAP_SLACK_BYTES - 1)
@example(16 * GIB, 150, -8 * GIB)
@example(16 * GIB, 100, 0)
def test_everybody_agrees_whether_swap_suffices(ram: int, percent: int, more: int) -> None:
    swap = max(0, node_swap_bytes(ram, percent) + more)
    expected = swap_suffices(ram, swap, percent)

    assert {say.__name__: say(ram, swap, percent) for say in EVERYBODY} == dict.fromkeys(
        (each.__name__ for each in EVERYBODY), expected
    )


@pytest.mark.parametrize(
    ("ram", "swap", "percent", "suffices"),
    [
        (16 * GIB, 8 * GIB, 150, True),
        (16 * GIB, 8 * GIB - PAGE, 150, True),
        (16 * GIB, 8 * GIB - SWAP_SLACK_BYTES, 150, True),
        (16 * GIB, 8 * GIB - SWAP_SLACK_BYTES - 1, 150, False),
        (16 * GIB, 0, 100, True),
        (16 * GIB, 0, 101, False),
        (
            1 << 20,
            0,
            150,
            False,
        ),  # half a MiB is demanded: the slack does not replace an area
        (0, 0, 150, True),  # not known
    ],
)
def test_swap_suffices_within_a_header(ram: int, swap: int, percent: int, suffices: bool) -> None:
    assert swap_suffices(ram, swap, percent) is suffices
