"""A cgroup's directory, held by descriptor, and the files in it.

The descriptor makes identity safe: when a cgroup is removed and another is made under its name, every access
through the old descriptor fails, so the new cgroup is never read or written by mistake.

Files that are read every second may be kept open as well. A `pread` on a kept descriptor costs about a
fifth of open, read and close. Descriptors are a bounded resource, so `KeptFiles` counts them for all cgroups.
"""

import errno
import os
import resource
from types import TracebackType
from typing import Self

from overbook.kernel.files import (
    READ_LIMIT,
    KernelFileError,
    MissingKernelFile,
    from_os_error,
    open_directory,
    read_fd,
    subdirectories,
    under,
    write_file,
)

CGROUP_MOUNT = "/sys/fs/cgroup"
# No hot file is longer: the kernel prints memory.stat into one page.
_HOT_READ = 4096
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})


class KeptFiles:
    """The budget of files that may be kept open, shared by many cgroups.

    Args:
        limit: The most files; None is half of the present RLIMIT_NOFILE, read at each call, so that raising
            the limit later is enough.
    """

    __slots__ = ("_limit", "count")

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self.count = 0

    def take(self) -> bool:
        """Count one more open file; False if the limit is reached and the file must not be kept."""
        limit = self._limit
        if limit is None:
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            limit = (1 << 20) if soft == resource.RLIM_INFINITY else soft // 2
        if self.count >= limit:
            return False
        self.count += 1
        return True

    def give_back(self, files: int = 1) -> None:
        """Count closed files."""
        self.count -= files

    def run_out(self) -> None:
        """Lower the limit to the present count, because descriptors ran out below the limit."""
        self._limit = self.count


_SHARED = KeptFiles()


class CgroupDirectory:
    """One cgroup, held open until `close()`.

    Attributes:
        path: Path relative to the cgroup root; "" is the root itself.
        inode: The directory's inode, the kernel's id of the cgroup; a recreated cgroup has another one.

    Args:
        path: As the attribute.
        root: The file-system root that has /sys/fs/cgroup below it.
        kept: The budget for files kept open; shared by all cgroups of the process if not given.

    Raises:
        MissingKernelFile: There is no such cgroup.
        KernelFileError: It cannot be opened, or the path leads out of the cgroup root.
    """

    __slots__ = ("_fd", "_hot", "_kept", "_prefix", "inode", "path")

    def __init__(
        self, path: str, root: str | os.PathLike[str] = "/", *, kept: KeptFiles | None = None
    ) -> None:
        self.path = path
        self._fd = -1
        self._hot: dict[str, int] = {}
        self._kept = _SHARED if kept is None else kept
        full = under(root, CGROUP_MOUNT) + ("/" + path if path else "")
        if path.startswith("/") or ".." in path.split("/"):
            raise KernelFileError(
                full, "is outside of the cgroup root; a cgroup's path is relative, without '..'"
            )
        self._prefix = full + "/"
        self._fd = open_directory(full)
        self.inode = os.fstat(self._fd).st_ino

    def read(self, name: str, limit: int = READ_LIMIT) -> bytes:
        """The content of one of the cgroup's files.

        Raises:
            MissingKernelFile: The kernel has no such file, or the cgroup is gone; `exists()` tells which.
            KernelFileError: Unreadable.
        """
        fd = self._open(name, os.O_RDONLY)
        try:
            return read_fd(fd, self._prefix + name, limit)
        finally:
            os.close(fd)

    def read_hot(self, name: str) -> bytes:
        """The content of a file of at most 4 KiB that is read often; the file is kept open where possible.

        Raises:
            MissingKernelFile: As `read`.
            KernelFileError: As `read`.
        """
        fd = self._hot.get(name)
        if fd is None:
            return self._read_and_keep(name)
        try:
            data = os.pread(fd, _HOT_READ, 0)
        except OSError as error:
            self._drop(name)
            raise from_os_error(self._prefix + name, error, "read") from None
        if data and len(data) < _HOT_READ:
            return data
        # Never seen on a cgroup: longer than a page, or empty, as a file removed from a copied tree is.
        self._drop(name)
        return self.read(name)

    def read_kept(self, names: tuple[str, ...]) -> list[bytes] | None:
        """The contents of several files that `read_hot` keeps open; None if one of them cannot be read so.

        That file is not kept, is gone, is empty or too long; `read_hot` then gives the exact error.
        """
        hot, pread = self._hot, os.pread
        try:
            found = [pread(hot[name], _HOT_READ, 0) for name in names]
        except (KeyError, OSError):
            return None
        return found if len(min(found, key=len)) > 0 and len(max(found, key=len)) < _HOT_READ else None

    def write(self, name: str, data: bytes) -> None:
        """Write one of the cgroup's files, in one call.

        Raises:
            MissingKernelFile: As `read`.
            KernelFileError: The kernel refused; `errno` says how.
        """
        self._check_open(name)
        try:
            write_file(name, data, dir_fd=self._fd)
        except KernelFileError as error:
            raise self._named(name, error) from None

    def file_exists(self, name: str) -> bool:
        """Whether the cgroup exists and has such a file."""
        try:
            os.stat(name, dir_fd=self._check_open(name))
        except (OSError, KernelFileError):
            return False
        return True

    def exists(self) -> bool:
        """Whether this cgroup still exists; a later one with the same name does not count."""
        return self._fd >= 0 and self.file_exists("cgroup.procs")

    def is_current(self) -> bool:
        """Whether this cgroup is still the one at its path, whatever files it has."""
        if self._fd < 0:
            return False
        try:
            return os.stat(self._prefix).st_ino == self.inode
        except OSError:
            return False

    def children(self) -> list[tuple[str, int]]:
        """Name and inode of each child cgroup.

        Raises:
            MissingKernelFile: The cgroup is gone.
        """
        # A second descriptor: listing moves the offset of the one that it uses.
        fd = self._open(".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            return subdirectories(fd, self._prefix)
        finally:
            os.close(fd)

    def child(self, name: str) -> Self:
        """The child cgroup `name`, opened through this one's descriptor; the caller closes it.

        Raises:
            MissingKernelFile: There is no such child.
        """
        self._check_open(name)
        child = type(self).__new__(type(self))
        child.path = f"{self.path}/{name}" if self.path else name
        child._prefix = f"{self._prefix}{name}/"  # noqa: SLF001 - the same class
        child._hot, child._kept = {}, self._kept  # noqa: SLF001
        child._fd = -1  # noqa: SLF001
        child._fd = self._open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # noqa: SLF001
        child.inode = os.fstat(child._fd).st_ino  # noqa: SLF001
        return child

    def again(self) -> Self:
        """The same cgroup with a descriptor of its own, for another thread; the caller closes it.

        Raises:
            MissingKernelFile: This one was closed.
        """
        twin = type(self).__new__(type(self))
        twin.path, twin.inode, twin._prefix = self.path, self.inode, self._prefix  # noqa: SLF001 - the same class
        twin._hot, twin._kept = {}, KeptFiles(0)  # noqa: SLF001 - one thread alone counts the kept files
        twin._fd = -1  # noqa: SLF001
        twin._fd = os.dup(self._check_open("."))  # noqa: SLF001
        return twin

    def fileno(self) -> int:
        """The directory's descriptor; -1 once closed."""
        return self._fd

    def close(self) -> None:
        """Close the cgroup's descriptors. Closing twice is harmless."""
        for name in tuple(self._hot):
            self._drop(name)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_and_keep(self, name: str) -> bytes:
        fd = self._open(name, os.O_RDONLY)
        if not self._kept.take():
            try:
                return read_fd(fd, self._prefix + name)
            finally:
                os.close(fd)
        self._hot[name] = fd
        try:
            return read_fd(fd, self._prefix + name)
        except KernelFileError:
            self._drop(name)
            raise

    def _open(self, name: str, flags: int) -> int:
        dir_fd = self._check_open(name)
        try:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=dir_fd)
        except OSError as error:
            if error.errno not in _NO_DESCRIPTORS or not self._hot:
                raise from_os_error(self._prefix + name, error, "open") from None
        # No descriptors left: close the kept files. Reading slowly is better than not reading.
        for kept in tuple(self._hot):
            self._drop(kept)
        self._kept.run_out()
        try:
            return os.open(name, flags | os.O_CLOEXEC, dir_fd=dir_fd)
        except OSError as error:
            raise from_os_error(self._prefix + name, error, "open") from None

    def _drop(self, name: str) -> None:
        os.close(self._hot.pop(name))
        self._kept.give_back()

    def _check_open(self, name: str) -> int:
        if self._fd < 0:
            # Without this, -1 would be taken for "relative to nothing" and an absolute name would work.
            raise MissingKernelFile(self._prefix + name, "this cgroup was closed", errno.EBADF)
        return self._fd

    def _named(self, name: str, error: KernelFileError) -> KernelFileError:
        return type(error)(self._prefix + name, error.problem, error.errno)
