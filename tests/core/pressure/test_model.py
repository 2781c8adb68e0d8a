from hypothesis import given
from hypothesis import strategies as st

from overbook.core.pressure.model import increase, node_model, pod_models, protected_bytes, shares
from overbook.core.pressure.sample import ContainerSample, NodeSample, PodSample, Sample
from tests.core.simulated_node import MI, holding

NODE = NodeSample(1 << 30)


def window(*rounds: dict[str, tuple[ContainerSample, ...]]) -> list[Sample]:
    return [
        Sample(float(at), 0.0, NODE, tuple(PodSample(uid, held) for uid, held in pods.items()))
        for at, pods in enumerate(rounds)
    ]


def test_working_set_excludes_inactive_file_and_is_not_negative() -> None:
    for inactive, expected in ((30, 70), (500, 0)):
        container = ContainerSample("c", 100, inactive, 10, 5, None, 0)
        model = pod_models(window({"a": (container,)}))["a"]
        assert (model.working_set_bytes, model.usage_bytes) == (expected, expected + 5)


def test_swap_room_is_what_the_limits_leave_or_unlimited() -> None:
    limited = holding(MI, swap=30, swap_max=100)
    beyond = holding(MI, swap=200, swap_max=100, name="sidecar")
    assert pod_models(window({"a": (limited, beyond)}))["a"].swap_room_bytes == 70
    free = holding(MI, swap_max=None, name="sidecar")
    assert pod_models(window({"a": (limited, free)}))["a"].swap_room_bytes is None
    assert pod_models(window({"a": (limited, free)}))["a"].swap_max_bytes is None


def test_growth_counts_memory_and_swap_and_is_not_negative() -> None:
    moved = window({"a": (holding(100),)}, {"a": (holding(40, swap=60),)})
    assert pod_models(moved)["a"].growth_bytes == 0  # swapped out, not grown
    grown = window({"a": (holding(100),)}, {"a": (holding(40, swap=100),)})
    assert pod_models(grown)["a"].growth_bytes == 40
    shrunk = window({"a": (holding(100),)}, {"a": (holding(10),)})
    assert pod_models(shrunk)["a"].growth_bytes == 0


def test_rates_of_a_new_pod_start_at_its_first_sample() -> None:
    models = pod_models(window({}, {"a": (holding(100, refaults=7),)}, {"a": (holding(150, refaults=9),)}))
    assert (models["a"].growth_bytes, models["a"].refaults) == (50, 2)


def test_a_container_that_started_anew_has_no_negative_refaults() -> None:
    models = pod_models(window({"a": (holding(1, refaults=700),)}, {"a": (holding(1, refaults=3),)}))
    assert models["a"].refaults == 0


def test_a_pod_that_is_gone_has_no_model() -> None:
    assert pod_models(window({"a": (holding(1),)}, {})) == {}


def test_more_free_swap_than_there_is_counts_as_empty() -> None:
    model = node_model(NodeSample(100, 40, swap_total_bytes=10, swap_free_bytes=12))
    assert (model.swap_used_bytes, model.swap_free_bytes) == (0, 10)
    assert node_model(NodeSample(100, 140)).working_set_bytes == 0
    assert node_model(NodeSample(100)).working_set_bytes is None


@given(st.none() | st.integers(0), st.none() | st.integers(0))
def test_an_increase_is_known_only_where_a_counter_went_up(earlier: int | None, later: int | None) -> None:
    grown = increase(earlier, later)
    if earlier is None or later is None or later < earlier:
        assert grown is None
    else:
        assert grown == later - earlier


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**15)))
def test_shares_are_parts_of_one_whole(numbers: dict[str, int]) -> None:
    parts = shares(numbers)
    assert parts.keys() == numbers.keys()
    assert all(0 <= part <= 1 for part in parts.values())
    assert abs(sum(parts.values()) - (1 if any(numbers.values()) else 0)) < 1e-9


def test_protected_memory_is_what_stays_below_the_protection() -> None:
    def protected(kept: int, *, held: int = 100, swappable: int = 80) -> int:
        return protected_bytes(ContainerSample("c", held, 0, swappable, 0, None, 0, protected_bytes=kept))

    assert [protected(kept) for kept in (0, 10, 70, 100, 1 << 62)] == [0, 0, 50, 80, 80]
    part = ContainerSample("c", 100, 0, 80, 0, None, 0, protected_bytes=70)
    assert pod_models(window({"a": (part, holding(30))}))["a"].protected_bytes == 50
