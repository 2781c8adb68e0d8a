from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overbook.core.timestamp import from_timestamp, to_timestamp

MOMENTS = st.integers(0, 253_402_300_799_000_000).map(
    lambda micros: datetime.fromtimestamp(micros / 1_000_000, UTC)
)


@given(MOMENTS)
def test_a_moment_is_written_as_the_standard_library_writes_it(moment: datetime) -> None:
    written = to_timestamp(moment.timestamp())
    # Beyond the year 2200 a float has no room for single microseconds.
    assert abs((datetime.fromisoformat(written) - moment).total_seconds()) < 1e-4


@given(MOMENTS)
def test_a_written_timestamp_is_read_again(moment: datetime) -> None:
    assert from_timestamp(moment.isoformat()) == pytest.approx(moment.timestamp(), abs=1e-4)


def test_kubernetes_own_forms_are_read() -> None:
    assert from_timestamp("2026-11-22T09:30:00Z") == 1795339800
    assert from_timestamp("2026-11-22T09:30:00.250000Z") == 1795339800.25
    assert from_timestamp("2026-11-22T18:30:00+09:00") == 1795339800


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "yesterday",
        "2026-11-22",
        "2026-13-01T00:00:00Z",
        "2026-02-31T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T09:60:00Z",
        "2026-11-22T09:30:61Z",
        "2026-11-22T09:30:00+99:99",
        "2026-11-22T09:30:00+24:00",
        "2026-11-22T09:30:00-09:60",
        "2026-11-22T09:30:00",
        "٢٠٢٦-11-22T09:30:00Z",
    ],
)
def test_text_that_is_no_timestamp_is_none(text: str | None) -> None:
    assert from_timestamp(text) is None


def test_a_moment_outside_the_calendar_is_refused() -> None:
    with pytest.raises(ValueError, match="1970 to 9999"):
        to_timestamp(-1)
