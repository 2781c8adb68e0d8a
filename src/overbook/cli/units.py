"""Sizes in the forms that people write and read."""

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.quantity import MAX_INT64, parse
from overbook.core.text import shown

_LEAST_WITHOUT_UNIT = 1 << 20
"""A smaller number without a unit is refused: nobody means so few bytes."""
SIZE_EXPECTED = 'a size such as "16Gi" or "16G"'


def size_bytes(text: str, option: str, beside: str | None = None) -> int:
    """The size that a user gave, in bytes: ``16Gi`` is binary; ``16G``, ``16 GB`` and ``16GB`` are decimal.

    A small number without a unit is refused, unless the size beside it is in bytes, too.

    Args:
        text: the text as typed.
        option: the option's name, for the message.
        beside: another size that the user gave, such as the RAM beside the swap.

    Raises:
        InvalidInput: the text is no size, or not more than 0.
    """
    short = text.replace(" ", "")
    if len(short) > 1 and short.endswith("B"):
        short = short[:-1]
        # "kB" is written with a small k, "KB" is common.
        short = short[:-1] + "k" if short.endswith("K") else short
    try:
        quantity = parse(short)
    except InvalidInput as error:
        raise InvalidInput(option, text, SIZE_EXPECTED) from error
    in_bytes = beside is not None and _has_no_unit(beside)
    if _has_no_unit(short) and 0 < quantity.value() < _LEAST_WITHOUT_UNIT and not in_bytes:
        raise InvalidInput(option, text, f"a size with its unit: did you mean {short}Gi?")
    if quantity.sign <= 0 or quantity.value() >= MAX_INT64:
        raise InvalidInput(option, text, f"more than 0 and less than 8Ei: {SIZE_EXPECTED}")
    return quantity.value()


def _has_no_unit(text: str) -> bool:
    return text.strip().replace(".", "", 1).isdigit()


def shown_like(number_bytes: int, text: str) -> str:
    """A size in the kind of unit that a user typed: decimal (``8G``) if ``text`` is, else binary."""
    if "i" in text or not any(letter.isalpha() for letter in text):
        return shown(number_bytes)
    for suffix, power in (("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        if number_bytes >= 10**power:
            return f"{number_bytes / 10**power:.2f}".rstrip("0").rstrip(".") + suffix
    return str(number_bytes)
