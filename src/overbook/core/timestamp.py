"""Moments as Kubernetes writes them (RFC 3339), and as rules compute with them: seconds since the epoch.

Source: RFC 3339 section 5.6; the calendar is the proleptic Gregorian one.
"""

import re
from typing import Final

_MOMENT: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DAY_SECONDS: Final = 86_400
_EPOCH_DAY: Final = 719_468
"""Days from 0000-03-01 to 1970-01-01: years that begin in March have their leap day at the end."""
_ERA_DAYS: Final = 146_097
"""Days in 400 years, after which the calendar repeats."""
_LATEST_SECONDS: Final = 253_402_300_799
"""The last second of the year 9999."""


def to_timestamp(seconds: float) -> str:
    """The moment in UTC with microseconds.

    Args:
        seconds: since the epoch, from the year 1970 to 9999.

    Raises:
        ValueError: out of that range.
    """
    if not 0 <= seconds <= _LATEST_SECONDS:
        raise ValueError(f"{seconds} s is no moment from 1970 to 9999")
    micros = round(seconds * 1_000_000)
    days, rest = divmod(micros, _DAY_SECONDS * 1_000_000)
    year, month, day = _date(days)
    hour, rest = divmod(rest, 3_600_000_000)
    minute, rest = divmod(rest, 60_000_000)
    second, micro = divmod(rest, 1_000_000)
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro:06}Z"


def from_timestamp(text: str | None) -> float | None:
    """Seconds since the epoch; ``None`` where nothing is written or it is no moment."""
    found = _MOMENT.fullmatch(text or "")
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    seconds = _day(year, month, day) * _DAY_SECONDS + hour * 3600 + minute * 60 + second
    if found[8]:
        ahead = int(found[9]) * 3600 + int(found[10]) * 60
        seconds += -ahead if found[8] == "+" else ahead
    return seconds + float(found[7] or 0)


def _day(year: int, month: int, day: int) -> int:
    """Days since the epoch."""
    year -= month <= 2
    era, in_era = divmod(year, 400)
    in_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + in_era * 365 + in_era // 4 - in_era // 100 + in_year - _EPOCH_DAY


def _date(days: int) -> tuple[int, int, int]:
    era, in_era_days = divmod(days + _EPOCH_DAY, _ERA_DAYS)
    in_era = (in_era_days - in_era_days // 1460 + in_era_days // 36_524 - in_era_days // 146_096) // 365
    in_year = in_era_days - (365 * in_era + in_era // 4 - in_era // 100)
    shifted = (5 * in_year + 2) // 153
    month = (shifted + 2) % 12 + 1
    return era * 400 + in_era + (month <= 2), month, in_year - (153 * shifted + 2) // 5 + 1
