"""The meaning of YAML scalars to Kubernetes: the API's YAML reader follows YAML 1.1, with exceptions.

There are no timestamps and no base-60 numbers, so ``1:30`` and ``2026-01-01`` stay text. A mapping's keys are
always text. Source: ``sigs.k8s.io/yaml`` and its ``goyaml.v2`` (``resolve.go``).
"""

import re
from typing import Any, Final

_WORDS: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NUMBER: Final = re.compile(
    r"(?P<int>[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][0-9_]*))"
    r"|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
)
_OCTAL: Final = re.compile(r"([-+]?)0([0-7]+)")
_LONGEST_INTEGER: Final = 20
"""The most digits of an integer. Beyond 64 bits the API's reader uses floats, and so does this one."""
_FIRST: Final = frozenset("-+.0123456789")


def plain_value(text: str) -> Any:
    """The value of a scalar without quotes and without a tag: ``None``, a bool, a number or the text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST:
        return text
    match = _NUMBER.fullmatch(text)
    if match is None:
        return text
    if match["int"] is None:
        return float(text)
    digits = text.replace("_", "")
    if len(digits) > _LONGEST_INTEGER and digits.lstrip("+-").isdigit():
        return float(digits)
    try:
        octal = _OCTAL.fullmatch(digits)
        return int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
    except ValueError:  # only an underscore after the prefix
        return text


def key_text(key: Any) -> str | None:
    """A mapping's key as the API reads it; ``None`` for what cannot be a key."""
    if isinstance(key, str):
        return key
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key) if isinstance(key, int | float) else None
