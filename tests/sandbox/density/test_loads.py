"""The catalogue's loads are what they say, and a seed changes them only a little."""

import pytest

from overbook.core.kubernetes.resolved import resolve
from overbook.core.kubevirt.vm import is_virtual_machine_pod
from overbook.core.overcommit.allowance import SwapPolicy, eligibility
from overbook_sandbox.density.catalog import LOADS, find
from overbook_sandbox.density.loads import PERCENT, Grow, Load, jittered
from overbook_sandbox.density.node.pods import namespaces, pod_of
from overbook_sandbox.density.shapes import vm

each_load = pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)


def test_names_of_loads_are_unique_words() -> None:
    names = [load.name for load in LOADS]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and " " not in name for name in names)


@each_load
def test_a_load_names_its_pods_once_and_its_guilty_ones(load: Load) -> None:
    names = [pod.name for pod in load.pods]
    assert len(set(names)) == len(names)
    assert set(load.guilty) <= set(names)
    assert load.must_go <= len(names)
    assert load.innocent


@each_load
def test_requests_fit_into_the_node_and_swap_is_half_of_it(load: Load) -> None:
    assert sum(pod.request_mib for pod in load.pods) < load.memory_mib
    assert load.swap_mib == load.memory_mib * (PERCENT - 100) // 100


@each_load
@pytest.mark.parametrize("seed", [1, 2])
def test_every_innocent_pod_is_covered_for_what_it_holds(load: Load, seed: int) -> None:
    for pod in jittered(load, seed).pods:
        if pod.name in load.innocent:
            assert pod.held_mib < load.covered_mib(pod), pod.name


@each_load
def test_a_guilty_pod_grows_beyond_what_it_is_covered_for(load: Load) -> None:
    for pod in load.pods:
        grows = [act for act in pod.acts if isinstance(act, Grow)]
        if pod.name in load.guilty and grows:
            most = grows[0].most_mib or grows[0].mib_per_second * load.event_seconds
            assert pod.held_mib + most > load.covered_mib(pod)


@pytest.mark.parametrize("name", ["wild-tight", "leak-tight"])
def test_a_tight_load_covers_its_pods_to_within_three_percent(name: str) -> None:
    load = find(name)
    for pod in load.pods:
        if pod.name in load.innocent:
            assert 1.01 < load.covered_mib(pod) / pod.held_mib < 1.03


def test_a_fair_request_is_guest_by_percentage_and_overhead() -> None:
    pod = vm("vm", 300, 50)
    assert pod.request_mib == pytest.approx(220)
    assert pod.hot_mib + pod.cold_mib == 300


def test_a_critical_culprit_leaves_its_place_to_an_innocent_pod() -> None:
    assert find("unmovable").innocents_to_go == 1
    assert find("wild").innocents_to_go == 0
    assert find("storm").innocents_to_go == 1


@each_load
def test_a_seed_changes_sizes_by_at_most_three_percent(load: Load) -> None:
    changed = jittered(load, 7)
    assert changed == jittered(load, 7)
    assert changed != jittered(load, 8)
    before = {pod.name: pod for pod in load.pods}
    for pod in changed.pods:
        assert 0.97 <= pod.hot_mib / before[pod.name].hot_mib <= 1.03
        assert pod.request_mib / pod.hot_mib == pytest.approx(
            before[pod.name].request_mib / before[pod.name].hot_mib
        )


@each_load
def test_a_pod_of_each_shape_may_swap_as_the_load_says(load: Load) -> None:
    enabled = namespaces()[0]["metadata"]
    for pod in load.pods:
        manifest = resolve(pod_of(load, pod))
        (container,) = manifest.containers
        labels = enabled["labels"] if manifest.pod.metadata.namespace == enabled["name"] else None
        reason = eligibility(manifest, container, load.memory_mib << 20, SwapPolicy(), labels)
        assert (reason == "Eligible") == (load.covered_mib(pod) > pod.request_mib), pod.name
        assert is_virtual_machine_pod(manifest.pod) == (pod.shape in {"VM", "Guaranteed"})
        assert (manifest.qos_class == "Guaranteed") == (pod.shape == "Guaranteed")
        assert manifest.critical == pod.critical
