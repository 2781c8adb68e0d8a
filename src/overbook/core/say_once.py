"""A log that is not drowned: what is wrong is said when it changes, not again while it stays the same."""

from collections.abc import Callable, Collection, Hashable


class SayOnce:
    """Says a sentence when it is another than the last one about the same thing.

    Args:
        say: takes the sentence, such as a logger's method.
        most: things of which it is remembered what was said; of further ones nothing is said.
    """

    def __init__(self, say: Callable[[str], object], most: int | None = None) -> None:
        self._say = say
        self._most = most
        self._said: dict[Hashable, str] = {}

    def __call__(self, sentence: str, about: Hashable = "") -> None:
        """Say a sentence, unless it was the last one.

        Args:
            sentence: what is to be said.
            about: which thing it is about, where it is not the only one. A sentence about itself is said
                once and for all.
        """
        if self._said.get(about) == sentence:
            return
        if self._most is None or about in self._said or len(self._said) < self._most:
            self._said[about] = sentence
            self._say(sentence)

    def over(self, about: Hashable = "") -> bool:
        """What was said holds no longer, so it would be said again; whether anything had been said."""
        return self._said.pop(about, None) is not None

    def keep_only(self, things: Collection[Hashable]) -> None:
        """Forget what was said about all other things: they are gone."""
        for about in self._said.keys() - things:
            del self._said[about]

    def __len__(self) -> int:
        """Of how many things it is remembered what was said."""
        return len(self._said)
