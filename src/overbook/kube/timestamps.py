"""Times as the API writes them: RFC 3339 in UTC."""

import time


def rfc3339(wall_seconds: float) -> str:
    """``metav1.Time``: whole seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall_seconds))


def rfc3339_micro(wall_seconds: float) -> str:
    """``metav1.MicroTime``: always six digits of a second."""
    microseconds = round(wall_seconds * 1_000_000)
    seconds, rest = divmod(microseconds, 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:06d}Z"
