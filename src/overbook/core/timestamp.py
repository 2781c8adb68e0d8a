"""Times as Kubernetes writes them (RFC 3339), and as rules compute with them: seconds since the epoch.

Source: RFC 3339 section 5.6. The standard library's calendar is used, but never its clock.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST_SECONDS: Final = 253_402_300_799
"""The last second of the year 9999."""


def to_timestamp(seconds: float) -> str:
    """A time in UTC with microseconds, in the form of ``metav1.MicroTime``.

    Args:
        seconds: seconds since the epoch, from the year 1970 to 9999.

    Raises:
        ValueError: ``seconds`` is out of that range.
    """
    if not 0 <= seconds <= _LATEST_SECONDS:
        raise ValueError(f"{seconds} s is not within the years 1970 to 9999")
    moment = _EPOCH + timedelta(microseconds=round(seconds * 1_000_000))
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def to_whole_timestamp(seconds: float) -> str:
    """A time in UTC in whole seconds, in the form of ``metav1.Time``.

    Raises:
        ValueError: ``seconds`` is out of the range of ``to_timestamp``.
    """
    return to_timestamp(int(seconds))[: -len(".000000Z")] + "Z"


@lru_cache(maxsize=4096)  # each plan of the controller parses the same few times again
def from_timestamp(text: str | None) -> float | None:
    """Seconds since the epoch of a time in text; ``None`` where the text is missing or not a time."""
    found = _MOMENT.fullmatch(text or "")
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    leap_seconds = second - 59 if second == 60 else 0
    try:
        moment = datetime(year, month, day, hour, minute, second - leap_seconds, tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - _EPOCH).total_seconds() + leap_seconds
    if found[8]:
        hours, minutes = int(found[9]), int(found[10])
        if hours > 23 or minutes > 59:
            return None
        ahead = hours * 3600 + minutes * 60
        seconds += -ahead if found[8] == "+" else ahead
    return seconds + float(found[7] or 0)
