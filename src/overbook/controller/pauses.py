"""When something that failed may be tried again, apart for each node or override.

One that cannot be written for good, since a policy protects it, must not hold the others up.
"""

import time
from collections.abc import Callable, Iterable

from overbook.kube.api.backoff import Backoff


class Pauses:
    """The pauses after failures, by key. Each is longer than the one before, until the key succeeds.

    Args:
        first_seconds: the first pause.
        most_seconds: the longest pause.
        clock: seconds that only grow.
    """

    def __init__(
        self, first_seconds: float, most_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._clock = clock
        self._backoffs: dict[str, Backoff] = {}
        self._until: dict[str, float] = {}

    def failed(self, key: str, error: Exception) -> float:
        """Begin the next pause of a key. Returns its length in seconds."""
        backoff = self._backoffs.setdefault(key, Backoff(self._first_seconds, self._most_seconds))
        seconds = backoff.next_seconds(error)
        self._until[key] = self._clock() + seconds
        return seconds

    def rest_until(self, key: str, moment: float) -> None:
        """Leave a key alone until a moment of the clock, without a failure."""
        self._until[key] = moment

    def hold(self, key: str) -> bool:
        """Whether a key is not to be tried yet."""
        return self._clock() < self._until.get(key, 0.0)

    def over(self) -> set[str]:
        """Return the keys whose pause is over, and that were not tried since."""
        now = self._clock()
        return {key for key, moment in self._until.items() if now >= moment}

    def begin(self, key: str) -> None:
        """Note that a key is tried; its next pause stays as long as it would be."""
        self._until.pop(key, None)

    def succeeded(self, key: str) -> None:
        """End the pauses of a key; the next one is the first again, unless it rests."""
        self._backoffs.pop(key, None)

    def forget(self, key: str) -> None:
        """Forget a key that has succeeded or is gone."""
        self.begin(key)
        self.succeeded(key)

    def keep_only(self, known: Iterable[str]) -> None:
        """Forget all keys but these."""
        kept = set(known)
        for remembered in (self._backoffs, self._until):
            for key in remembered.keys() - kept:
                del remembered[key]
