"""The range of ``memoryOvercommitPercentage``: what a formula can work with, and what may be configured."""

from typing import Annotated, Final

import msgspec

from overbook.core.errors import InvalidInput

LEAST_PERCENT: Final = 10
"""KubeVirt's own lower bound."""
MOST_PERCENT: Final = 10_000
"""No formula is asked for more: ten times what may be configured, for what is computed from a node's swap."""
MOST_CONFIGURED_PERCENT: Final = 1000
"""The upper bound of a setting that reaches nodes: the custom resource's and the swap program's."""

ConfiguredPercent = Annotated[int, msgspec.Meta(ge=LEAST_PERCENT, le=MOST_CONFIGURED_PERCENT)]


def is_percent(percent: int) -> bool:
    """Whether a number is a percentage that a formula can work with."""
    return LEAST_PERCENT <= percent <= MOST_PERCENT


def check_percent(percent: int, where: str = "memoryOvercommitPercentage") -> None:
    """Refuse a percentage that KubeVirt refuses, or that no node could carry.

    Args:
        percent: the percentage.
        where: what the error names it.

    Raises:
        InvalidInput: it is out of range.
    """
    if not is_percent(percent):
        expected = f"a number from {LEAST_PERCENT} to {MOST_PERCENT}, such as 150"
        raise InvalidInput(where, percent, expected)
