"""Times as the API writes them: RFC 3339 in UTC, to seconds since 1970."""

import re
from typing import Final

_FORM: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


def unix_seconds(text: str | None) -> float | None:
    """Seconds since 1970 of a time; ``None`` where there is none or it is no time.

    An object's time is whatever its writer put there, so what cannot be read is "not known" and no error.
    """
    match = _FORM.fullmatch(text) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.group(1, 2, 3, 4, 5, 6))
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    seconds = float(_days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
    if match[8]:
        offset = int(match[9]) * 3600 + int(match[10]) * 60
        seconds += -offset if match[8] == "+" else offset
    return seconds + float(match[7] or 0)


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the Gregorian calendar, counted in years that begin with March."""
    year -= month <= 2
    era_year = year % 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = era_year * 365 + era_year // 4 - era_year // 100 + day_of_year
    return year // 400 * 146_097 + day_of_era - 719_468
