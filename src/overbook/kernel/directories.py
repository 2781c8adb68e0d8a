"""Listing subdirectories by descriptor, where any of them may vanish at any moment."""

import os

from overbook.kernel.files import KernelFileError, from_os_error

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


def open_directory(path: str, dir_fd: int | None = None) -> int:
    """A descriptor of the directory; the caller closes it.

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
        # The type comes with the listing, so the many files of a cgroup cost no stat each.
        with os.scandir(fd) as entries:
            return [(entry.name, entry.inode()) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        raise from_os_error(path, error, "list") from None
