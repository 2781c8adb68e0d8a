"""The archive format of an initramfs: cpio "newc" (the kernel documents it as initramfs buffer format)."""

import stat
from collections.abc import Iterable
from typing import NamedTuple

_TRAILER = "TRAILER!!!"


class ArchiveEntry(NamedTuple):
    """One entry of the archive.

    Attributes:
        name: The path without a leading slash.
        mode: The type and permission bits, as in `stat.st_mode`.
        data: The content of a file, the target of a symbolic link, empty for a directory.
        device: The major and minor number of a device node.
    """

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def directory(name: str) -> ArchiveEntry:
    """A directory that all users may read."""
    return ArchiveEntry(name, stat.S_IFDIR | 0o755)


def regular_file(name: str, data: bytes, *, executable: bool = False) -> ArchiveEntry:
    """A file that all users may read."""
    return ArchiveEntry(name, stat.S_IFREG | (0o755 if executable else 0o644), data)


def character_device(name: str, major: int, minor: int) -> ArchiveEntry:
    """A character device that only root may use."""
    return ArchiveEntry(name, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[ArchiveEntry]) -> bytes:
    """Pack entries in their order into one archive.

    All times are zero and all owners are root, so equal entries give equal bytes. Archives may be
    concatenated: the kernel unpacks one after the other.

    Args:
        entries: The entries; a directory comes before its content.

    Returns:
        The archive, a multiple of four bytes long.
    """
    members = [*entries, ArchiveEntry(_TRAILER, 0)]
    return b"".join(_member(inode, entry) for inode, entry in enumerate(members, start=1))


def _member(inode: int, entry: ArchiveEntry) -> bytes:
    name = entry.name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    major, minor = entry.device
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, major, minor, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
