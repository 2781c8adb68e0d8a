from overbook.core.pressure.history import History
from overbook.core.pressure.sample import NodeSample, PodSample, Sample
from overbook.core.pressure.situation import Situation
from tests.core.simulated_node import GI, MI, holding, vm


def situation(*sizes: int) -> Situation:
    """Return the situation of a node whose pod holds so many MiB, a second after each other."""
    history = History(30.0, 10.0)
    for second, size in enumerate(sizes):
        pods = (PodSample("a", (holding(size * MI),)), PodSample("stranger", (holding(size * MI),)))
        history.add(Sample(float(second), 0.0, NodeSample(GI, GI // 2), pods))
    return Situation(history, {"a": vm("a")})


def test_a_situation_is_that_of_the_newest_sample() -> None:
    seen = situation(10, 20, 30)
    assert seen.now == 2.0
    assert seen.node.memory_available_bytes == GI // 2
    assert seen.pods["a"].usage_bytes == 30 * MI


def test_pods_over_a_window_have_their_change_in_it() -> None:
    seen = situation(10, 20, 50, 60, 61)
    assert [seen.pods_over(seconds)["a"].growth_bytes // MI for seconds in (1, 2, 3, 4, 60)] == [
        1,
        11,
        41,
        51,
        51,
    ]
    assert seen.pods["a"].growth_bytes == 51 * MI


def test_pods_over_a_window_are_those_that_are_known() -> None:
    seen = situation(10, 20)
    assert seen.pods.keys() == {"a", "stranger"}
    assert seen.pods_over(1).keys() == {"a"}


def test_pods_over_a_window_are_modelled_once() -> None:
    seen = situation(10, 20)
    assert seen.pods_over(1) is seen.pods_over(1)
    assert seen.pods is seen.pods
