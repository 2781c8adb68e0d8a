"""How long to wait before asking again: exponential with jitter, and never earlier than the server said."""

import random
from collections.abc import Callable
from typing import Final

from overbook.kube.api.errors import ApiError

SPREAD: Final = random.Random()  # noqa: S311 - spreads requests in time, no secret
"""A generator apart from the global one: a program that seeds that for itself would seed all agents alike."""

MOST_RETRY_AFTER_SECONDS = 60.0
"""A server that says more is asked again all the same."""


class Backoff:
    """Waits that double from ``first_seconds`` to ``most_seconds``, each between half of it and all of it.

    Half of each wait is random, so that a thousand agents do not come back in the same second.

    Args:
        first_seconds: the first wait.
        most_seconds: the longest.
        chance: gives a number in [0, 1).
    """

    def __init__(
        self,
        first_seconds: float = 0.25,
        most_seconds: float = 5.0,
        chance: Callable[[], float] = SPREAD.random,
    ) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._chance = chance
        self._next_seconds = first_seconds

    def reset(self) -> None:
        """It went well: the next wait is the first one again."""
        self._next_seconds = self._first_seconds

    def next_seconds(self, error: BaseException | None = None) -> float:
        """The next wait.

        Args:
            error: why there is one. What an :class:`ApiError` says about when to come again is honoured, with
                up to a fifth more.
        """
        seconds = self._next_seconds
        self._next_seconds = min(self._most_seconds, seconds * 2)
        waited = seconds * (0.5 + self._chance() / 2)
        said = error.retry_after_seconds if isinstance(error, ApiError) else None
        if said is not None:
            waited = max(waited, min(said, MOST_RETRY_AFTER_SECONDS) * (1 + self._chance() / 5))
        return waited
