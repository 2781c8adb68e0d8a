r"""/proc/swaps: the swap areas in use.

    Filename				Type		Size		Used		Priority
    /dev/vda2                               partition	1048572		0		-2
    /var/my\040swap\040(deleted)            file		1048572		12		-3

Sizes are in KiB, without the header page of the area. White space and backslashes in a name are octal
escapes. Source: kernel mm/swapfile.c `swap_show`.
"""

import os
import re

import msgspec

from overbook.kernel.files import KernelFileError, read_file, shown, under

_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_LINE = re.compile(rb"(\S.*?)\s+(\S+)\s+([0-9]{1,17})\s+([0-9]{1,17})\s+(-?[0-9]{1,10})\s*")
_DELETED = " (deleted)"


class SwapArea(msgspec.Struct, frozen=True, gc=False):
    """One swap area.

    Attributes:
        filename: The device or file, without " (deleted)"; bytes that are not UTF-8 appear as escapes.
        type: "partition" or "file".
        size_bytes: The size of the area.
        used_bytes: The part in use.
        priority: Areas with a higher priority are used first; the kernel assigns the negative ones.
        deleted: The file was unlinked while in use; the area cannot be switched off by its name.
    """

    filename: str
    type: str
    size_bytes: int
    used_bytes: int
    priority: int
    deleted: bool = False


def parse_swaps(data: bytes, path: str = "/proc/swaps") -> tuple[SwapArea, ...]:
    """The swap areas in the kernel's order; empty when there is no swap.

    Raises:
        KernelFileError: The header is missing, or a line is malformed. Skipping it would count too little
            swap.
    """
    header, *lines = data.split(b"\n")
    if not header.startswith(b"Filename"):
        raise KernelFileError(
            path, f"found {shown(data)}, expected the header 'Filename Type Size Used Priority'"
        )
    if lines and lines[-1]:
        raise KernelFileError(path, f"is cut off at {shown(lines[-1])}")
    return tuple(_parse_line(line, path) for line in lines if line)


def read_swaps(root: str | os.PathLike[str] = "/") -> tuple[SwapArea, ...]:
    """/proc/swaps below `root`.

    Raises:
        MissingKernelFile: The kernel was built without swap.
        KernelFileError: Unreadable, or as `parse_swaps`.
    """
    path = under(root, "/proc/swaps")
    return parse_swaps(read_file(path), path)


def _parse_line(line: bytes, path: str) -> SwapArea:
    match = _LINE.fullmatch(line)
    if match is None:
        raise KernelFileError(path, f"found {shown(line)}, expected 'filename type size used priority'")
    name, kind, size, used, priority = match.groups()
    raw = _OCTAL.sub(lambda octal: bytes((int(octal[1], 8),)), name)
    # backslashreplace, not surrogates: the name is shown and recorded, and JSON cannot hold surrogates.
    filename = raw.decode("utf-8", "backslashreplace")
    return SwapArea(
        filename=filename.removesuffix(_DELETED),
        type=kind.decode("utf-8", "backslashreplace"),
        size_bytes=int(size) * 1024,
        used_bytes=int(used) * 1024,
        priority=int(priority),
        deleted=filename.endswith(_DELETED),
    )
