"""Checks that settings of a ruleset are in range."""

from overbook.core.errors import InvalidInput


def check_least(where: str, value: float, *, least: float) -> None:
    """Refuse a number below `least`, and infinity.

    Raises:
        InvalidInput: it is.
    """
    if not least <= value < float("inf"):
        raise InvalidInput(where, value, f"a number from {least:g}")


def check_window(where: str, value: float, most: float = 3600) -> None:
    """Refuse a window of less than 1 s or more than `most` seconds.

    Raises:
        InvalidInput: it is.
    """
    if not 1 <= value <= most:
        raise InvalidInput(where, value, f"1 to {most:g} seconds")
