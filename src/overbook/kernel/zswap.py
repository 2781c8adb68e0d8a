"""zswap: the kernel's compressed store in RAM for pages on their way to a swap area.

    /sys/module/zswap/parameters/enabled            Y
    /sys/module/zswap/parameters/compressor         lz4
    /sys/module/zswap/parameters/max_pool_percent   20

Source: kernel Documentation/admin-guide/mm/zswap.rst. The shrinker is there since Linux 6.8.
"""

import os
from typing import Final

import msgspec

from overbook.kernel.files import KernelFileError, MissingKernelFile, read_file, shown, under

ZSWAP_PARAMETERS: Final = "/sys/module/zswap/parameters"


class Zswap(msgspec.Struct, frozen=True, gc=False):
    """The settings of zswap.

    Attributes:
        enabled: whether pages that are swapped out go to it.
        compressor: the algorithm.
        max_pool_percent: the most RAM that it may use, in percent; None: not known.
        shrinker: whether the kernel writes cold pages from it to the swap area when memory is short; None:
            this kernel cannot.
    """

    enabled: bool
    compressor: str = ""
    max_pool_percent: int | None = None
    shrinker: bool | None = None


def read_zswap(root: str | os.PathLike[str] = "/") -> Zswap | None:
    """The settings of zswap below `root`; None: the kernel has no zswap.

    Raises:
        KernelFileError: A parameter cannot be read, or is not what the kernel writes.
    """
    try:
        enabled = _flag("enabled", root)
    except MissingKernelFile:
        return None
    try:
        percent = _text("max_pool_percent", root)
    except MissingKernelFile:
        percent = ""
    if percent and not (percent.isdigit() and len(percent) <= 3):
        raise KernelFileError(f"{ZSWAP_PARAMETERS}/max_pool_percent", f"found {percent!r}, expected 0 to 100")
    try:
        shrinker = _flag("shrinker_enabled", root)
    except MissingKernelFile:
        shrinker = None
    try:
        compressor = _text("compressor", root)
    except MissingKernelFile:
        compressor = ""
    return Zswap(enabled, compressor, int(percent) if percent else None, shrinker)


def _text(name: str, root: str | os.PathLike[str]) -> str:
    data = read_file(under(root, f"{ZSWAP_PARAMETERS}/{name}"))
    return data.decode("ascii", "backslashreplace").strip()


def _flag(name: str, root: str | os.PathLike[str]) -> bool:
    text = _text(name, root)
    if text not in {"Y", "N", "1", "0"}:
        raise KernelFileError(f"{ZSWAP_PARAMETERS}/{name}", f"found {shown(text.encode())}, expected Y or N")
    return text in {"Y", "1"}
