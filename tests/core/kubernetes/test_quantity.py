import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import MAX_INT64, Quantity, from_raw, parse

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-2"]
numbers = st.from_regex(r"[+-]?[0-9]{1,20}(\.[0-9]{0,12})?", fullmatch=True)
texts = st.builds(str.__add__, numbers, st.sampled_from(SUFFIXES))
texts_below_a_million = st.builds(
    str.__add__, st.from_regex(r"[0-9]{1,6}(\.[0-9]{0,6})?", fullmatch=True), st.sampled_from(["", "m", "Ki"])
)


@given(texts)
def test_canonical_text_keeps_the_number(text: str) -> None:
    quantity = parse(text)
    again = parse(quantity.canonical())
    assert again.scaled(-9) == quantity.scaled(-9)
    if quantity.sign >= 0:
        assert (again.value(), again.milli()) == (quantity.value(), quantity.milli())


@given(texts)
def test_canonical_text_of_canonical_text_is_unchanged(text: str) -> None:
    canonical = parse(text).canonical()
    assert parse(canonical).canonical() == canonical


@given(texts)
def test_numbers_are_held_within_64_bits_and_never_wrap(text: str) -> None:
    quantity = parse(text)
    for number in (quantity.value(), quantity.milli()):
        assert -MAX_INT64 <= number <= MAX_INT64
        if quantity.sign >= 0:  # a negative fraction of a nano may be rounded to +1, as apimachinery does
            assert (number > 0) == (quantity.sign > 0)


@given(texts_below_a_million, texts_below_a_million)
def test_a_larger_quantity_never_has_a_smaller_value(one: str, other: str) -> None:
    small, large = sorted((parse(one), parse(other)), key=lambda quantity: quantity.scaled(-12))
    assert small.value() <= large.value()
    assert small.milli() <= large.milli()


@given(st.text(max_size=30) | st.text(alphabet="0123456789.+-eEKMGTPinumk", max_size=12))
def test_any_text_is_a_quantity_or_refused(text: str) -> None:
    parsed: Quantity | None = None
    with contextlib.suppress(InvalidInput):
        parsed = parse(text)
    assert parsed is None or parsed.canonical()


@pytest.mark.parametrize("raw", [True, "", "1Q", "1 Gi", "0x10", "1e", "--1", "9" * 300])
def test_a_quantity_that_the_api_server_refuses_is_refused(raw: object) -> None:
    with pytest.raises(InvalidInput, match="is not valid; expected a quantity"):
        from_raw(raw)  # type: ignore[arg-type]


def test_fractions_of_a_unit_are_rounded_up() -> None:
    assert parse("1m").value() == 1
    assert parse("100u").milli() == 1
    assert parse("0.5Gi").value() == 512 << 20


def test_null_is_zero_and_a_number_is_a_quantity() -> None:
    assert from_raw(None).value() == 0
    assert from_raw(2).milli() == 2000
    assert from_raw(1.5).milli() == 1500
