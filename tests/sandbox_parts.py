"""Tests get the parts of the sandbox that they need, or are skipped."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from overbook_sandbox.machine.errors import SandboxUnavailableError

T = TypeVar("T")


def made(make: Callable[[], T]) -> T:
    """Make a part of the sandbox; where that is impossible, the test is skipped with the reason."""
    try:
        return make()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
