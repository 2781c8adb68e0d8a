"""Texts for people: sizes and counts, and how long a sentence may be."""

from typing import Final

from overbook.core.kubernetes.quantity import binary

LONGEST_SENTENCE: Final = 1024
"""The most characters of a sentence that is written into an object of the API."""
_STEPS: Final = (("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10))


def shown(number_bytes: int) -> str:
    """A size in bytes as text: exact where that is short (``512Mi``), else with two decimals (``2.67Gi``)."""
    exact = binary(number_bytes)
    if len(exact) <= 6 or number_bytes < 1024:
        return exact
    for suffix, power in _STEPS:
        if number_bytes >= 1 << power:
            return f"{number_bytes / (1 << power):.2f}".rstrip("0").rstrip(".") + suffix
    return exact


def shortened(text: str, longest: int = LONGEST_SENTENCE) -> str:
    """At most ``longest`` characters of a text; a text that is cut ends in an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 pod``, ``2 pods``, ``1,000 pods``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shown_or(number_bytes: int | None, otherwise: str = "-") -> str:
    """A size as text, or ``otherwise`` where there is none."""
    return otherwise if number_bytes is None else shown(number_bytes)


def cores(milli: int | None) -> str:
    """CPU as text: ``500m``, ``2``, ``1500m``."""
    if milli is None:
        return "-"
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def percent_of(part: int, whole: int) -> str:
    """A share in whole percent, rounded down as all percentages are."""
    return f"{part * 100 // whole} %" if whole else "-"
