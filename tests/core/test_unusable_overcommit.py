import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.api.overcommit import (
    UNUSABLE_WORDS,
    OvercommitSpec,
    ReliefSpec,
    Unusable,
    WrittenOvercommit,
    in_force,
    read_overcommit,
)

BEFORE = OvercommitSpec(mode="Enforce", percentage=150, relief=ReliefSpec(per_cluster=7))


def written(spec: bytes) -> WrittenOvercommit:
    return msgspec.json.decode(
        b'{"metadata":{"name":"cluster"},"spec":' + spec + b"}", type=WrittenOvercommit
    )


def test_a_spec_of_nothing_observes() -> None:
    assert read_overcommit(written(b"{}")) == OvercommitSpec()
    assert read_overcommit(msgspec.json.decode(b"{}", type=WrittenOvercommit)) == OvercommitSpec()
    assert OvercommitSpec().mode == "Observe"


def test_no_object_keeps_the_sizes_and_changes_nothing() -> None:
    found = in_force(read_overcommit(None), msgspec.structs.replace(BEFORE, paused=True))
    assert found.problem == Unusable("NoOvercommit")
    assert found.spec == msgspec.structs.replace(BEFORE, mode="Observe", paused=False)


@pytest.mark.parametrize(
    ("spec", "detail"),
    [
        (b'{"mode":"Suggest"}', "spec.mode: Invalid enum value 'Suggest'"),
        (b'{"mode":"Enforce","percentage":"150"}', "spec.percentage: Expected `int`, got `str`"),
        (b'{"mode":"Enforce","relief":{"lastResort":"Kill"}}', "spec.relief.lastResort: Invalid enum value"),
        (b'{"mode":"Enforce","relief":{"perCluster":-1}}', "spec.relief.perCluster: Expected `int` >= 0"),
        (b"null", "spec: Expected `object`, got `null`"),
        (b"[1]", "spec: Expected `object`, got `array`"),
    ],
)
def test_a_word_of_another_version_is_named_and_held_back(spec: bytes, detail: str) -> None:
    found = in_force(read_overcommit(written(spec)), BEFORE)
    assert found.problem is not None
    assert found.problem.word == "OvercommitUnreadable"
    assert found.problem.detail.startswith(detail)
    assert (found.spec.mode, found.spec.percentage, found.spec.relief.per_cluster) == ("Observe", 150, 7)


def test_each_problem_has_a_sentence_and_a_fix() -> None:
    for word in UNUSABLE_WORDS:
        assert "Overcommit named cluster" in Unusable(word, "spec.mode").sentence
        assert Unusable(word).fix


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["Enforce", "Observe"]),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=8), some, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["percentage", "mode", "paused", "relief", "override", "later"])


@given(spec=JSON | st.dictionaries(FIELDS, JSON, max_size=4))
def test_a_spec_is_enforced_only_if_it_says_so(spec: object) -> None:
    found = in_force(read_overcommit(written(msgspec.json.encode(spec))), BEFORE)
    if found.problem is not None or not isinstance(spec, dict) or spec.get("mode") != "Enforce":
        assert found.spec.mode == "Observe"
    assert 100 <= found.spec.percentage <= 1000
