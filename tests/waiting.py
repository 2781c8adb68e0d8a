"""A test waits for a condition with a deadline, never for a time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_SECONDS = 60.0
"""Generous: machines that run tests are busy."""


def wait_for(
    condition: Callable[[], T | None],
    what: str,
    seconds: float = DEADLINE_SECONDS,
    every_seconds: float = 0.1,
) -> T:
    """Call a condition until its answer is true, and return the answer.

    Args:
        condition: What to ask.
        what: Names it in the failure.
        seconds: The deadline.
        every_seconds: How long to wait between two questions.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not after {seconds:.0f} s: {what} (last answer: {answer!r})")
        time.sleep(every_seconds)
    return answer
