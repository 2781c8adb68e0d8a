"""The range of ``memoryOvercommitPercentage``: the values that formulas accept and that may be configured."""

from typing import Annotated, Final

import msgspec

from overbook.core.errors import InvalidInput

LEAST_PERCENT: Final = 10
"""KubeVirt's own lower bound."""
MOST_PERCENT: Final = 10_000
"""The most that formulas accept; a percentage computed from a node's swap may exceed the configurable one."""
MOST_CONFIGURED_PERCENT: Final = 1000
"""The upper bound of a setting that reaches nodes: the custom resource's and the swap program's."""

ConfiguredPercent = Annotated[int, msgspec.Meta(ge=LEAST_PERCENT, le=MOST_CONFIGURED_PERCENT)]


def is_percent(percent: int) -> bool:
    """Whether a number is a percentage that a formula can work with."""
    return LEAST_PERCENT <= percent <= MOST_PERCENT


def check_percent(percent: int, where: str = "memoryOvercommitPercentage") -> None:
    """Refuse a percentage that KubeVirt refuses, or that exceeds what formulas accept.

    Args:
        percent: the percentage.
        where: the name of the setting, for the error.

    Raises:
        InvalidInput: the percentage is out of range.
    """
    if not is_percent(percent):
        expected = f"a number from {LEAST_PERCENT} to {MOST_PERCENT}, such as 150"
        raise InvalidInput(where, percent, expected)
