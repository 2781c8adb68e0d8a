import copy
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.api.overcommit_node import TAINT_EFFECT, TAINT_KEY, PressureStatus
from overbook.core.relief.node import (
    KeptNode,
    condition_patch,
    could_take_a_vm,
    taint_removal,
    wanted_condition,
)

NOW = 1_800_000_000.0
TAINT = st.builds(
    lambda key, effect: {"key": key, "effect": effect},
    st.sampled_from([TAINT_KEY, "example.com/a", "example.com/b"]),
    st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"]),
)


def node(*taints: dict[str, str], ready: str = "True", **spec: Any) -> KeptNode:
    conditions = [{"type": "Ready", "status": ready}]
    obj = {
        "metadata": {"name": "n"},
        "spec": {"taints": list(taints), **spec},
        "status": {"conditions": conditions},
    }
    return msgspec.convert(obj, KeptNode)


def patched(taints: list[dict[str, str]], operations: list[dict[str, Any]]) -> list[dict[str, str]] | None:
    """Return what the API server makes of a patch; ``None`` if one of its tests fails."""
    left = copy.deepcopy(taints)
    for operation in operations:
        index, _, field = operation["path"].removeprefix("/spec/taints/").partition("/")
        if int(index) >= len(left):
            return None
        if operation["op"] == "test":
            if left[int(index)].get(field) != operation["value"]:
                return None
        else:
            del left[int(index)]
    return left


@given(st.lists(TAINT, max_size=4), st.lists(TAINT, max_size=4))
def test_removing_our_taint_never_drops_a_foreign_one(
    seen: list[dict[str, str]], now: list[dict[str, str]]
) -> None:
    left = patched(now, taint_removal(node(*seen)))
    if left is not None:
        assert [each for each in left if each["key"] != TAINT_KEY] == [
            each for each in now if each["key"] != TAINT_KEY
        ]
    if seen == now and any(each["key"] == TAINT_KEY for each in seen):
        assert left is not None
        assert len(left) == len(now) - 1


def test_only_ready_nodes_without_pressure_take_a_pod() -> None:
    assert could_take_a_vm(node(), None)
    assert could_take_a_vm(node(), PressureStatus())
    assert could_take_a_vm(node({"key": "example.com/gpu", "effect": "NoSchedule"}), None)
    assert not could_take_a_vm(node(ready="Unknown"), None)
    assert not could_take_a_vm(node(unschedulable=True), None)
    assert not could_take_a_vm(node(), PressureStatus(state="Pressure"))
    assert not could_take_a_vm(node({"key": TAINT_KEY, "effect": TAINT_EFFECT}), None)
    assert not could_take_a_vm(
        node({"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}), None
    )


def test_the_condition_states_what_is_known() -> None:
    def said(pressure: PressureStatus | None, *, stale: bool = False) -> str | None:
        wanted = wanted_condition(pressure, stale=stale)
        return wanted.status if wanted is not None else None

    assert said(PressureStatus()) == "False"
    assert said(PressureStatus(state="Pressure")) == "True"
    assert said(PressureStatus(state="Critical")) == "True"
    assert said(PressureStatus(state="Critical"), stale=True) == "Unknown"
    assert said(None) is None
    assert said(None, stale=True) is None


def test_a_condition_that_states_nothing_is_removed() -> None:
    assert condition_patch(node(), None, NOW) is None
    there = msgspec.convert({"status": {"conditions": [{"type": "OvercommitPressure"}]}}, KeptNode)
    removal = {"type": "OvercommitPressure", "$patch": "delete"}
    assert condition_patch(there, None, NOW) == {"status": {"conditions": [removal]}}


def test_the_condition_is_not_written_for_new_numbers_alone() -> None:
    first = wanted_condition(PressureStatus(state="Critical", sentence="46 % of 2 s"), stale=False)
    assert first is not None
    patch = condition_patch(node(), first, NOW)
    assert patch is not None
    written = patch["status"]["conditions"]
    assert written[0]["lastTransitionTime"] == "2027-01-15T08:00:00Z"
    there = msgspec.convert({"status": {"conditions": written}}, KeptNode)
    again = wanted_condition(PressureStatus(state="Critical", sentence="47 % of 2 s"), stale=False)
    assert again is not None
    assert condition_patch(there, again, NOW + 60) is None
    milder = wanted_condition(PressureStatus(state="Pressure"), stale=False)
    assert milder is not None
    changed = condition_patch(there, milder, NOW + 60)
    assert changed is not None
    assert changed["status"]["conditions"][0]["lastTransitionTime"] == "2027-01-15T08:00:00Z"
