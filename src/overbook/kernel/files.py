"""Bounded reads and single writes of kernel files, with errors that name the file.

Every failure in this package is a `KernelFileError`. Its subclass `MissingKernelFile` means that the file
does not exist, or vanished while it was being read. On a node where containers come and go that is normal,
and callers treat it as an answer.
"""

import errno
import os

READ_LIMIT = 65536
_SHOWN_BYTES = 60
# kernfs returns ENODEV when a cgroup is removed under an open file; /proc returns ESRCH.
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ESRCH})
_REMEDIES = {
    errno.EACCES: "run as root, and mount the file system so that this file may be accessed",
    errno.EPERM: "run as root, with the capability that this file needs",
    errno.EROFS: "mount the file system read-write",
    errno.EMFILE: "raise RLIMIT_NOFILE",
    errno.ENFILE: "raise fs.file-max",
    errno.EOPNOTSUPP: "the kernel has this switched off (for pressure files: boot with psi=1)",
}


class KernelFileError(Exception):
    """A kernel file could not be used.

    Attributes:
        path: The file, as it was asked for.
        problem: What was found and what would be right.
        errno: The error number of the failed call; None when the content was the problem.
    """

    def __init__(self, path: str, problem: str, errno: int | None = None) -> None:
        super().__init__(path, problem, errno)
        self.path = path
        self.problem = problem
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class MissingKernelFile(KernelFileError):  # noqa: N818 - often a fact, not an error
    """The file does not exist: the kernel does not have it, or it vanished with its cgroup."""


def shown(data: bytes) -> str:
    """A file's content for an error message: quoted, and cut to the length of a log line."""
    if not data:
        return "an empty file"
    cut = data[:_SHOWN_BYTES]
    return repr(cut.decode("utf-8", "backslashreplace")) + ("..." if len(data) > len(cut) else "")


def from_os_error(path: str, error: OSError, doing: str) -> KernelFileError:
    """The `KernelFileError` or `MissingKernelFile` for a failed system call.

    Args:
        path: The file that the call was about.
        error: What the call raised.
        doing: The verb for the message: "open", "read", "write".
    """
    number = error.errno
    if number in _GONE:
        return MissingKernelFile(path, f"cannot {doing}: it does not exist (any more)", number)
    remedy = _REMEDIES.get(number or 0)
    reason = error.strerror or str(error)
    return KernelFileError(path, f"cannot {doing}: {reason}" + (f"; {remedy}" if remedy else ""), number)


def under(root: str | os.PathLike[str], path: str) -> str:
    """`path` (absolute, such as `/proc/meminfo`) below the file-system root `root`."""
    return os.fspath(root).rstrip("/") + path


def read_fd(fd: int, path: str, limit: int = READ_LIMIT) -> bytes:
    """The rest of the file `fd`, from its present offset.

    A short read does not mean the end of the file: the kernel returns records one page at a time.

    Raises:
        KernelFileError: Unreadable, or longer than `limit` bytes.
    """
    try:
        data = os.read(fd, limit + 1)
        if not data:
            return data
        size = len(data)
        parts = [data]
        while size <= limit and (more := os.read(fd, limit + 1 - size)):
            parts.append(more)
            size += len(more)
    except OSError as error:
        raise from_os_error(path, error, "read") from None
    if size > limit:
        raise KernelFileError(path, f"is longer than {limit} bytes, which this file never is")
    return b"".join(parts) if len(parts) > 1 else data


def read_file(path: str, limit: int = READ_LIMIT, dir_fd: int | None = None) -> bytes:
    """The whole content of a kernel file.

    Args:
        path: Absolute, or relative to `dir_fd`.
        limit: The most bytes that the file may have.
        dir_fd: An open directory that a relative path starts at.

    Raises:
        MissingKernelFile: The file does not exist, or vanished meanwhile.
        KernelFileError: Unreadable, or longer than `limit` bytes.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=dir_fd)
    except (OSError, ValueError) as error:
        raise _not_opened(path, error) from None
    try:
        return read_fd(fd, path, limit)
    finally:
        os.close(fd)


def write_file(path: str, data: bytes, dir_fd: int | None = None) -> None:
    """Write `data` in one call, as kernel files need it. The file is never created.

    Raises:
        MissingKernelFile: The file does not exist, or vanished meanwhile.
        KernelFileError: The kernel refused; `errno` says how.
    """
    try:
        # O_TRUNC means nothing to the kernel's files; it makes an ordinary file behave like them.
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_TRUNC, dir_fd=dir_fd)
    except (OSError, ValueError) as error:
        raise _not_opened(path, error) from None
    try:
        written = os.write(fd, data)
    except OSError as error:
        refused = from_os_error(path, error, f"write {shown(data)}")
        raise refused from None
    finally:
        os.close(fd)
    if written != len(data):
        raise KernelFileError(path, f"took {written} of {len(data)} bytes of {shown(data)}")


def _not_opened(path: str, error: OSError | ValueError) -> KernelFileError:
    if isinstance(error, OSError):
        return from_os_error(path, error, "open")
    return KernelFileError(path, f"is no usable path: {error}")


OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_directory(path: str, dir_fd: int | None = None) -> int:
    """A descriptor of the directory; the caller closes the descriptor.

    Raises:
        MissingKernelFile: There is no such directory (any more).
        KernelFileError: It cannot be opened.
    """
    try:
        return os.open(path, OPEN_DIRECTORY, dir_fd=dir_fd)
    except OSError as error:
        raise from_os_error(path, error, "open the directory") from None
    except ValueError as error:
        raise KernelFileError(path, f"is no usable path: {error}") from None


def subdirectories(fd: int, path: str) -> list[tuple[str, int]]:
    """Name and inode of each subdirectory, in the order of the file system.

    Args:
        fd: The open directory.
        path: Its name, for messages.

    Raises:
        MissingKernelFile: The directory itself is gone.
        KernelFileError: It cannot be listed.
    """
    try:
        # The listing includes the type, so the many files of a cgroup need no stat.
        with os.scandir(fd) as entries:
            return [(entry.name, entry.inode()) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise from_os_error(path, error, "list") from None
