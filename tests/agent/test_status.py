"""The status that the agent writes: whose memory is short, and of what percentages are."""

import pytest

from overbook.agent.status import Moment, StatusWriter
from overbook.core.pressure.decision import FiredRule
from overbook.core.pressure.history import History
from overbook.core.pressure.model import node_model
from overbook.core.pressure.sample import NodeSample, Sample
from overbook.core.pressure.state import PressureTrend
from tests.agent.fake_node import GI

SAMPLE = NodeSample(64 * GI, 5 * GI, 8 * GI, 8 * GI, 0, 0, hugetlb_bytes=48 * GI, zswap_in_pages=0)


@pytest.mark.parametrize(("domain", "shown"), [(None, ""), ("kubepods.slice", "kubepods.slice")])
def test_status_names_the_domain_that_is_short(domain: str | None, shown: str) -> None:
    trend, history = PressureTrend(0.0), History(30.0, 10.0)
    history.add(Sample(0.0, 0.0, SAMPLE))
    trend.seen([FiredRule("rule", "kubepods is at its limit", {}, domain)], critical=False, now=1.0)
    moment = Moment(
        wall_seconds=1.0,
        mode="Enforce",
        paused=False,
        node=node_model(SAMPLE),
        swap_allowed_bytes=0,
        percent=150,
        request=None,
        problems=(),
    )
    status = StatusWriter("me", trend, history, 30.0, 0.0).status(moment, {})
    assert status.pressure.domain == shown
    # Huge pages never swap: 150 % of the other 16 GiB demand 8.
    assert (status.memory.total_bytes, status.memory.hugetlb_bytes) == (64 * GI, 48 * GI)
    assert status.swap.demanded_bytes == 8 * GI
