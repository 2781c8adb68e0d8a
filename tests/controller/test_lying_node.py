"""An OvercommitNode that lies in every field decides nothing about others, and breaks nothing."""

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overbook.controller.kinds import AskingNode
from overbook.controller.leader import Leadership
from overbook.controller.metrics import ControllerMetrics
from overbook.core.relief.case import Delete, Evict, Look, Write
from overbook.core.relief.node import KeptNode, condition_patch, could_take_a_vm, wanted_condition
from tests.controller.test_leader import asks, led, overcommit
from tests.core.lying_node import lying_nodes
from tests.probes.exposition_reader import parsed

NOW = st.sampled_from([0.0, 1_800_000_000.0, 1_800_000_000.0 + 86_400 * 365])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lie=lying_nodes(), now=NOW)
def test_a_lying_node_is_planned_and_measured(lie: dict[str, Any], now: float) -> None:
    obj = msgspec.json.decode(json.dumps(lie), type=AskingNode)

    def act(leader: Leadership, metrics: ControllerMetrics) -> None:
        overcommit(leader, b'{"mode":"Enforce","relief":{"lastResort":"Delete"}}')
        asks(leader, "good")
        leader.situation.asking._put("n", obj)
        leader._wall_clock = lambda: now
        leader._plan_once()
        steps = leader._planned(leader.situation.cases(), leader.situation.cluster())
        assert metrics.failures["plan"] == 0
        assert isinstance(steps["good"], Look | Write)
        request, record = obj.status.request, obj.status.relief
        own = {candidate.uid for candidate in request.candidates} if request else set()
        own |= {record.victim_uid} if record else set()
        step = steps.get("n")
        if isinstance(step, Look | Evict | Delete):
            assert step.uid in own
        parsed(metrics.render(leader.situation).decode())

    led(act)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lie=lying_nodes(), stale=st.booleans())
def test_a_lying_nodes_condition_fits_the_api(lie: dict[str, Any], stale: bool) -> None:
    pressure = msgspec.json.decode(json.dumps(lie), type=AskingNode).status.pressure
    wanted = wanted_condition(pressure, stale=stale)
    assert wanted is not None
    assert len(wanted.message) <= 1024
    patch = condition_patch(KeptNode(), wanted, 1_800_000_000.0)
    assert json.dumps(patch)
    assert could_take_a_vm(KeptNode(), pressure) is False
