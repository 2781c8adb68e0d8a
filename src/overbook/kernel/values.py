"""Files that hold one number, or `max`.

$ cat memory.current
1234944
$ cat memory.swap.max
max
"""

import errno

from overbook.kernel.files import KernelFileError, shown

# 2^64 - 1 has twenty digits; no counter of the kernel is wider.
_MOST_DIGITS = 20


def parse_value(data: bytes, path: str = "value") -> int:
    """The number in a single-value file, 0 or more.

    Raises:
        KernelFileError: Empty, cut off (no line end), negative, or no number of at most 20 digits.
    """
    text = data[:-1]
    if text.isdigit() and len(text) <= _MOST_DIGITS and data.endswith(b"\n"):
        return int(text)
    raise KernelFileError(
        path, f"found {shown(data)}, expected one number of at most 20 digits and a line end"
    )


def parse_limit(data: bytes, path: str = "limit") -> int | None:
    """The number in a single-value file; None is `max`, no limit.

    Raises:
        KernelFileError: As `parse_value`.
    """
    return None if data == b"max\n" else parse_value(data, path)


def render_limit(value: int | None, path: str = "limit") -> bytes:
    """What to write for a limit: the number, or `max` for None.

    Raises:
        KernelFileError: `value` is negative.
    """
    if value is None:
        return b"max\n"
    if value < 0:
        raise KernelFileError(
            path, f"cannot write {value}: a limit is 0 or more, or None for max", errno.EINVAL
        )
    return b"%d\n" % value
