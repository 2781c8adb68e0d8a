from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.candidate import beyond_bytes
from overbook.core.pressure.holdings import holdings_bytes
from overbook.core.pressure.model import container_holdings_bytes, node_model, pod_models
from overbook.core.pressure.sample import ContainerSample, NodeSample, PodSample, Sample
from tests.core.simulated_node import GI, MI, holding, vm

SIZES = st.integers(0, 2**50)


def models(*rounds: tuple[ContainerSample, ...]) -> list[Sample]:
    return [
        Sample(float(at), 0.0, NodeSample(GI), (PodSample("a", containers),))
        for at, containers in enumerate(rounds)
    ]


@given(SIZES, SIZES, SIZES)
def test_holdings_lie_between_the_larger_part_and_the_sum(memory: int, swap: int, cached: int) -> None:
    assert max(memory, swap) <= holdings_bytes(memory, swap, cached) <= memory + swap


@given(SIZES, SIZES, SIZES, SIZES)
def test_holdings_never_grow_with_the_swap_cache(memory: int, swap: int, cached: int, more: int) -> None:
    assert holdings_bytes(memory, swap, cached + more) <= holdings_bytes(memory, swap, cached)


def test_holdings_of_a_real_pod_under_pressure_count_once() -> None:
    # memory.current, memory.swap.current and swapcached of a pod of 300 MiB.
    assert holdings_bytes(287 * MI, 167 * MI, 153 * MI) == 301 * MI


def test_holdings_leave_out_files_that_are_not_in_use() -> None:
    container = ContainerSample("c", 100, 30, 70, 50, None, 0, 20)
    assert container_holdings_bytes(container) == 100 - 30 + 50 - 20


def test_holdings_of_a_pod_are_those_of_its_containers() -> None:
    # Of the second one more is said to be in the swap cache than is in swap: pages moved between two reads.
    first, second = holding(100, swap=60, cached=40), holding(200, swap=10, cached=30, name="sidecar")
    model = pod_models(models((first, second)))["a"]
    assert model.usage_bytes == (100 + 60 - 40) + 200
    assert model.usage_bytes == sum(held for _, _, held in model.containers)


def test_holdings_do_not_grow_when_swap_is_read_back() -> None:
    swapped, back = (holding(40, swap=60),), (holding(100, swap=60, cached=60),)
    model = pod_models(models(swapped, back))["a"]
    assert (model.usage_bytes, model.growth_bytes) == (100, 0)


def test_holdings_of_the_node_count_its_swap_cache_once() -> None:
    node = node_model(NodeSample(1000, 200, 500, 100, swap_cached_bytes=150))
    assert node.holdings_bytes == 800 + 400 - 150
    assert node_model(NodeSample(1000, 200, 500, 100)).holdings_bytes == 1200  # not known: as it was before
    assert node_model(NodeSample(1000, None, 500, 100)).holdings_bytes is None


def test_page_cache_is_held_but_not_held_against_a_pod() -> None:
    first = ContainerSample("c", 300 * MI, 10 * MI, 200 * MI, 0, None, 0, 0, 50 * MI)
    later = ContainerSample("c", 500 * MI, 10 * MI, 210 * MI, 0, None, 0, 0, 240 * MI)
    model = pod_models(models((first,), (later,)))["a"]
    assert model.usage_bytes == 490 * MI
    assert model.lasting_bytes == 250 * MI
    assert model.growth_bytes == 10 * MI  # what was read from files is no growth
    facts = vm("a", request=200 * MI, allowed=45 * MI)
    assert beyond_bytes(facts, model) == 0
    assert beyond_bytes(vm("a", request=100 * MI, allowed=45 * MI), model) > 0


@given(SIZES, SIZES, SIZES, SIZES, SIZES)
def test_lasting_memory_is_never_more_than_is_held(
    memory: int, inactive: int, swap: int, cached: int, active: int
) -> None:
    container = ContainerSample("c", memory, inactive, memory, swap, None, 0, cached, active)
    model = pod_models(models((container,)))["a"]
    assert 0 <= model.lasting_bytes <= model.usage_bytes
    assert model.lasting_bytes >= model.swap_bytes - model.swap_cached_bytes
