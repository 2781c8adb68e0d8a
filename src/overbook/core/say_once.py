"""Log lines that are not repeated: a problem is logged when it changes, not again while it stays the same."""

from collections.abc import Callable, Collection, Hashable


class SayOnce:
    """Logs a sentence if it differs from the last one about the same subject.

    Args:
        say: takes the sentence, such as a logger's method.
        most: the most subjects whose last sentence is remembered; about further ones nothing is logged.
    """

    def __init__(self, say: Callable[[str], object], most: int | None = None) -> None:
        self._say = say
        self._most = most
        self._last: dict[Hashable, str] = {}

    def __call__(self, sentence: str, about: Hashable = "") -> None:
        """Log a sentence, unless it was the last one about its subject.

        Args:
            sentence: the sentence.
            about: the subject, where there are several. With the sentence itself as subject, it is logged
                only once.
        """
        if self._last.get(about) == sentence:
            return
        if self._most is None or about in self._last or len(self._last) < self._most:
            self._last[about] = sentence
            self._say(sentence)

    def over(self, about: Hashable = "") -> bool:
        """Forget the last sentence about a subject; return whether there was one."""
        return self._last.pop(about, None) is not None

    def keep_only(self, subjects: Collection[Hashable]) -> None:
        """Forget the sentences about all other subjects, which do not exist any more."""
        for about in self._last.keys() - subjects:
            del self._last[about]

    def __len__(self) -> int:
        """The number of subjects whose last sentence is remembered."""
        return len(self._last)
