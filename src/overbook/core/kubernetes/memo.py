"""Remember what was just worked out: several rules ask the same of one object, one after the other."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, TypeVar

_Subject = TypeVar("_Subject")
_Result = TypeVar("_Result")

MOST_REMEMBERED: Final = 256
_memories: Final[list[dict[int, Any]]] = []


def forget() -> None:
    """Let go of everything that is remembered: for those who are handed objects of any size."""
    for results in _memories:
        results.clear()


def remembered(function: Callable[[_Subject], _Result]) -> Callable[[_Subject], _Result]:
    """Keep a pure function's last results, by the identity of its one immutable argument.

    By identity, because the structs hold dictionaries and hashing them would cost what is to be saved. The
    object is kept beside its result, so that its identity cannot pass to another meanwhile.
    """
    results: dict[int, tuple[_Subject, _Result]] = {}
    _memories.append(results)

    @wraps(function)
    def wrapper(subject: _Subject) -> _Result:
        known = results.get(id(subject))
        if known is not None and known[0] is subject:
            return known[1]
        result = function(subject)
        if len(results) >= MOST_REMEMBERED:
            results.clear()
        results[id(subject)] = (subject, result)
        return result

    return wrapper
