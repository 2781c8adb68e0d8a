"""Waits before a retry: exponential with jitter, and never shorter than the server's Retry-After."""

import random
from collections.abc import Callable
from typing import Final

from overbook.kube.api.errors import ApiError

SPREAD: Final = random.Random()  # noqa: S311 - spreads requests in time, no secret
"""A generator apart from the global one: a program that seeds that for itself would seed all agents alike."""

MOST_RETRY_AFTER_SECONDS = 60.0
"""The longest Retry-After that is honoured."""


class Backoff:
    """Waits that double from ``first_seconds`` to ``most_seconds``, each shortened by up to half.

    Half of each wait is random, so that a thousand agents do not retry in the same second.

    Args:
        first_seconds: the first wait.
        most_seconds: the longest wait.
        chance: returns a random number in [0, 1).
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
        """Start again with the first wait, after a success."""
        self._next_seconds = self._first_seconds

    def next_seconds(self, error: BaseException | None = None) -> float:
        """The next wait.

        Args:
            error: the failure. The Retry-After of an :class:`ApiError` is honoured, with up to a fifth more.
        """
        seconds = self._next_seconds
        self._next_seconds = min(self._most_seconds, seconds * 2)
        waited = seconds * (0.5 + self._chance() / 2)
        asked_seconds = error.retry_after_seconds if isinstance(error, ApiError) else None
        if asked_seconds is not None:
            waited = max(waited, min(asked_seconds, MOST_RETRY_AFTER_SECONDS) * (1 + self._chance() / 5))
        return waited
