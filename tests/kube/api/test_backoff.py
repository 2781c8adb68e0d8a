from hypothesis import given
from hypothesis import strategies as st

from overbook.kube.api.backoff import MOST_RETRY_AFTER_SECONDS, Backoff
from overbook.kube.api.errors import ApiError, ApiUnavailable

CHANCES = st.floats(0, 1, exclude_max=True)


@given(CHANCES)
def test_waits_double_up_to_a_bound_and_start_again(chance: float) -> None:
    backoff = Backoff(1.0, 5.0, lambda: chance)
    for whole in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert whole / 2 <= backoff.next_seconds() <= whole
    backoff.reset()
    assert backoff.next_seconds(ApiUnavailable("x")) <= 1.0


@given(CHANCES, st.floats(0, 1000))
def test_a_retry_never_comes_before_the_server_allows(chance: float, said: float) -> None:
    waited = Backoff(0.1, 5.0, lambda: chance).next_seconds(ApiError(429, retry_after_seconds=said))
    assert waited >= min(said, MOST_RETRY_AFTER_SECONDS)
    assert waited <= max(0.1, 1.2 * MOST_RETRY_AFTER_SECONDS)
