"""How many bytes connections hold: unfinished requests, and answers that are not read."""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class HeldBytes(Generic[Key]):
    """The bytes that connections hold, within a limit for all together.

    Args:
        most: the limit in bytes.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[Key, int] = {}
        """By connection, those first that have held any for the longest time."""
        self.total = 0

    def add(self, key: Key, more: int) -> list[Key] | None:
        """Count bytes that a connection holds in addition.

        Returns:
            The connections that the caller has to close for it, and that hold nothing any more: those that
            have held any for the longest time. ``None``: it is too much for one connection, and not counted.
        """
        if self._of.get(key, 0) + more > self._most:
            return None
        losers = []
        while self.total + more > self._most:
            loser = next(one for one in self._of if one is not key)
            self.release(loser)
            losers.append(loser)
        self._of[key] = self._of.get(key, 0) + more
        self.total += more
        return losers

    def release(self, key: Key, fewer: int | None = None) -> None:
        """Count fewer bytes for a connection; ``None``: it holds nothing any more."""
        held = self._of.get(key, 0)
        less = held if fewer is None else min(held, fewer)
        self.total -= less
        if held > less:
            self._of[key] = held - less
        else:
            self._of.pop(key, None)
