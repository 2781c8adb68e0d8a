"""Parts of the sandbox that a test cannot do without."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from overbook_sandbox.machine.errors import SandboxUnavailableError

T = TypeVar("T")


def made(make: Callable[[], T]) -> T:
    """What a test needs of the sandbox; where that cannot be had, the test is skipped and says why."""
    try:
        return make()
    except SandboxUnavailableError as error:
        pytest.skip(str(error))
