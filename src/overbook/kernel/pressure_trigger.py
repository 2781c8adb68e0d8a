"""PSI triggers: the kernel wakes a waiting process when tasks stall, so that it need not poll.

Source: kernel Documentation/accounting/psi.rst, "Monitoring for pressure thresholds".
"""

import errno
import os
from types import TracebackType
from typing import Literal, Self

from overbook.kernel.files import KernelFileError, from_os_error

WINDOW_MICROS_MIN = 500_000
WINDOW_MICROS_MAX = 10_000_000


class PressureTrigger:
    """A trigger that wakes `epoll` when tasks were stalled for `stall_micros` within any `window_micros`.

    Register it with `select.epoll` for `EPOLLPRI`; it fires at most once a window. `EPOLLERR` means that the
    cgroup is gone: close the trigger. The trigger ends with `close()`.

    Args:
        path: A pressure file: /proc/pressure/memory, or a cgroup's memory.pressure.
        kind: "some" or "full".
        stall_micros: The stall that fires it, from 1 to `window_micros`.
        window_micros: 500,000 to 10,000,000; without CAP_SYS_RESOURCE only multiples of 2,000,000.
        dir_fd: An open directory that a relative `path` starts at.

    Raises:
        MissingKernelFile: There is no PSI here, or the cgroup is gone.
        KernelFileError: PSI is switched off, the trigger is not permitted, or its values are out of range.
    """

    __slots__ = ("_fd", "path")

    def __init__(
        self,
        path: str,
        kind: Literal["some", "full"],
        stall_micros: int,
        window_micros: int,
        dir_fd: int | None = None,
    ) -> None:
        self.path = path
        self._fd = -1
        if not (
            WINDOW_MICROS_MIN <= window_micros <= WINDOW_MICROS_MAX and 0 < stall_micros <= window_micros
        ):
            raise KernelFileError(path, _out_of_range(stall_micros, window_micros), errno.EINVAL)
        try:
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
        except OSError as error:
            raise from_os_error(path, error, "open for a pressure trigger") from None
        try:
            # The kernel overwrites the last byte with NUL, so send one that may be lost.
            os.write(fd, f"{kind} {stall_micros} {window_micros}\0".encode())
        except OSError as error:
            os.close(fd)
            if error.errno == errno.EINVAL:
                raise KernelFileError(
                    path, _out_of_range(stall_micros, window_micros), errno.EINVAL
                ) from None
            raise from_os_error(path, error, "set a pressure trigger") from None
        self._fd = fd

    def fileno(self) -> int:
        """The descriptor to poll; -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Remove the trigger. Closing twice is harmless."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _out_of_range(stall_micros: int, window_micros: int) -> str:
    return (
        f"cannot fire at {stall_micros} us of stall in {window_micros} us: the window must be"
        f" {WINDOW_MICROS_MIN} to {WINDOW_MICROS_MAX} us (unprivileged: a multiple of 2000000 us), the stall"
        " at least 1 us and no longer than the window"
    )
