from typing import Any

import pytest

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubernetes.resources import Amounts
from overbook.core.overcommit.level import (
    Levels,
    container_levels,
    levels_of,
    node_levels,
    pod_levels,
    promised_percent,
)
from tests.core.pod_manifests import GI, pod_of

EXAMPLE = {"requests": {"memory": "1Gi", "cpu": "500m"}, "limits": {"memory": "2Gi", "cpu": "500m"}}


def levels_in(*containers: dict[str, Any], **spec: Any) -> Levels:
    return pod_levels(resolve(pod_of(*containers, **spec)))


def test_the_worked_example_of_the_document() -> None:
    levels = container_levels(resolve(pod_of(EXAMPLE)).containers[0].resources)
    assert (levels.memory.percent, levels.cpu.percent) == (200, 100)


def test_no_level_is_computed_without_a_limit_or_a_request() -> None:
    pod = resolve(
        pod_of({"requests": {"memory": "1Gi"}}, {"requests": {"memory": "0"}, "limits": {"memory": "1Gi"}})
    )
    open_ended = container_levels(pod.containers[0].resources).memory
    assert (open_ended.percent, open_ended.undefined) == (None, "NoLimit")
    zero = container_levels(pod.containers[1].resources)
    assert (zero.memory.percent, zero.memory.undefined) == (None, "NoRequest")


def test_a_pod_with_an_unlimited_container_has_no_level() -> None:
    assert levels_in(EXAMPLE, EXAMPLE).memory.percent == 200
    assert levels_in(EXAMPLE, {}).memory.undefined == "NoLimit"
    bounded = levels_in(EXAMPLE, {}, resources={"limits": {"memory": "4Gi"}, "requests": {"memory": "1Gi"}})
    assert bounded.memory.percent == 400


def test_many_pods_are_summed_and_those_without_are_counted() -> None:
    level = levels_of([levels_in(EXAMPLE), levels_in({"limits": {"memory": "1Gi"}})]).memory
    assert (level.requested, level.limited, level.percent) == (2 * GI, 3 * GI, 150)
    level = levels_of([levels_in(EXAMPLE), levels_in({})]).memory
    assert (level.without_request, level.without_limit, level.undefined) == (1, 1, "NoLimit")
    assert levels_of([]).memory.undefined == "NoRequest"


def test_a_node_within_its_means_is_not_overcommitted() -> None:
    node = node_levels([levels_in(EXAMPLE)], Amounts.of(4000, 4 * GI), Amounts.of(2000, 2 * GI))
    assert not node.overcommitted
    assert (node.requested_cpu_percent, node.requested_memory_percent) == (25, 50)


def test_a_pod_that_makes_no_request_overcommits_its_node() -> None:
    node = node_levels(
        [levels_in(EXAMPLE), levels_in({})], Amounts.of(4000, 4 * GI), Amounts.of(4000, 4 * GI)
    )
    assert [(cause.word, cause.resource) for cause in node.causes] == [
        ("PodMakesNoRequest", "cpu"),
        ("PodMakesNoRequest", "memory"),
    ]
    assert node.causes[0].sentence == "1 of 2 pods make no cpu request"


def test_limits_beyond_the_capacity_overcommit_a_node() -> None:
    node = node_levels([levels_in(EXAMPLE)] * 3, Amounts.of(4000, 4 * GI), Amounts.of(0, 4 * GI))
    assert [(cause.word, cause.resource) for cause in node.causes] == [("LimitsExceedCapacity", "memory")]
    assert node.requested_cpu_percent is None


def test_promised_percent_sums_the_guests_sizes() -> None:
    assert promised_percent([8 * GI] * 3, 16 * GI) == 150
    with pytest.raises(InvalidInput):
        promised_percent([], 0)
