"""What else turns swap on or off on a node: known programs, and any script or unit that does so."""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Final

from overbook.node.device_names import followed

_MOST_BYTES: Final = 1 << 20
UNIT_FOLDERS: Final = (
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/transient",
    "run/systemd/generator",
    "run/systemd/generator.late",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""The folders of units, those of the administrator first: systemd uses the first unit of a name."""
_SCRIPTS: Final = ("etc/rc.local", "etc/rc.d/rc.local", "etc/crontab")
_SCRIPT_FOLDERS: Final = (
    "etc/cron.d",
    "etc/cron.hourly",
    "etc/cron.daily",
    "var/spool/cron",
    "var/spool/cron/crontabs",
    "etc/init.d",
    "etc/local.d",
    "var/lib/cloud/scripts/per-boot",
)
_MAKERS: Final[tuple[tuple[str, str, str], ...]] = (
    ("waagent", "etc/waagent.conf", r"^\s*ResourceDisk\.EnableSwap\s*=\s*y"),
    ("dphys-swapfile", "etc/dphys-swapfile", ""),
    ("rpi-swap", "etc/rpi/swap.conf", ""),
    ("zram-tools", "etc/default/zramswap", ""),
    ("zramd", "etc/default/zramd", ""),
    ("zram-config", "usr/bin/init-zram-swapping", ""),
    ("systemd-swap", "etc/systemd/swap.conf", ""),
    ("swapspace", "etc/swapspace.conf", ""),
    ("cloud-init", "etc/cloud/cloud.cfg", r"^swap\s*:"),
)
"""Name, file below the root, and the line in it with which the program makes swap."""
_ZRAM_GENERATOR: Final = (
    "run/systemd/zram-generator.conf",
    "etc/systemd/zram-generator.conf",
    "usr/local/lib/systemd/zram-generator.conf",
    "usr/lib/systemd/zram-generator.conf",
)
"""The main files of zram-generator, the one that wins first."""
_CLOUD_DROP_INS: Final = "etc/cloud/cloud.cfg.d"
_RUNS_SWAPOFF: Final = re.compile(r"^(?!\s*(?:#|ExecStop)).*\bswapoff\b", re.MULTILINE)
_RUNS_SWAPON: Final = re.compile(r"^(?!\s*(?:#|ExecStop)).*\bswapon\b(?!\s+(?:-s|--show)\b)", re.MULTILINE)
_OWN: Final = "overbook-"
_SWAP_WORD: Final = re.compile(r"^What=(.*)$", re.MULTILINE)


def makers(root: str) -> tuple[str, ...]:
    """Known programs that make swap here, by their settings.

    Raises:
        OSError: a file cannot be read.
    """
    found = [f"{name} (/{path})" for name, path, line in _MAKERS if _has(root, path, line)]
    found += [
        f"cloud-init (/{_CLOUD_DROP_INS}/{name})"
        for name in listed(root, _CLOUD_DROP_INS)
        if name.endswith(".cfg") and _has(root, f"{_CLOUD_DROP_INS}/{name}", r"^swap\s*:")
    ]
    return tuple(found)


def switches(root: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The scripts and services that run ``swapon``, and those that run ``swapoff``.

    Raises:
        OSError: a file cannot be read.
    """
    on, off = [], []
    for path in _runnable(root):
        text = _text(root, path)
        if _RUNS_SWAPOFF.search(text):
            off.append(f"/{path}")
        elif _RUNS_SWAPON.search(text):
            on.append(f"/{path}")
    return tuple(on), tuple(off)


def swap_units(root: str) -> dict[str, str]:
    """The swap units that are not masked, by their path, each with the device or file that it names."""
    seen: set[str] = set()
    found = {}
    for folder in UNIT_FOLDERS:
        for name in listed(root, folder):
            if not name.endswith(".swap") or name in seen:
                continue
            seen.add(name)
            path = f"{folder}/{name}"
            if not _masked(root, path):
                what = _SWAP_WORD.search(_text(root, path))
                found[f"/{path}"] = what[1].strip() if what else _device_of(name)
    return found


def is_target_masked(root: str) -> bool:
    """Whether ``swap.target`` is masked, as kubespray and instructions for kubeadm do to keep swap off.

    Swap units, fstab's entries and zram's generator are wanted by this target alone (systemd.special(7),
    systemd.swap(5)).
    """
    return any(_masked(root, f"{folder}/swap.target") for folder in UNIT_FOLDERS)


def zram_generators(root: str) -> tuple[str, ...]:
    """The files with which zram-generator makes swap, below the root.

    The first main file wins, and one without a section makes nothing: an empty file in ``/etc`` switches the
    distribution's own off, as kubespray does on Fedora. Source: README.md of systemd/zram-generator.
    """
    main = [path for path in _ZRAM_GENERATOR if os.path.exists(os.path.join(root, path))][:1]
    drop_ins = [
        f"{path}.d/{name}"
        for path in _ZRAM_GENERATOR
        for name in listed(root, f"{path}.d")
        if name.endswith(".conf")
    ]
    return tuple(path for path in (*main, *drop_ins) if _has(root, path, r"^\s*\[zram[0-9]+\]"))


def unexplained(root: str, areas: Iterable[str], explained: Iterable[str]) -> tuple[str, ...]:
    """The areas that none of the devices and files of fstab and units is, by links as well."""
    known = {followed(root, name) for name in explained}
    return tuple(area for area in areas if followed(root, area) not in known)


def listed(root: str, folder: str) -> list[str]:
    """The names in a folder, sorted; none if there is no such folder."""
    try:
        return sorted(os.listdir(os.path.join(root, folder)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _runnable(root: str) -> Iterator[str]:
    for path in _SCRIPTS:
        if os.path.isfile(os.path.join(root, path)):
            yield path
    for folder in _SCRIPT_FOLDERS:
        for name in listed(root, folder):
            if os.path.isfile(os.path.join(root, folder, name)):
                yield f"{folder}/{name}"
    for folder in ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system"):
        for name in listed(root, folder):
            if (
                name.endswith(".service")
                and not name.startswith(_OWN)
                and not _masked(root, f"{folder}/{name}")
            ):
                yield f"{folder}/{name}"


def _has(root: str, path: str, line: str) -> bool:
    if not os.path.isfile(os.path.join(root, path)):
        return False
    return not line or re.search(line, _text(root, path), re.MULTILINE | re.IGNORECASE) is not None


def _masked(root: str, path: str) -> bool:
    full = os.path.join(root, path)
    return os.path.islink(full) and os.readlink(full) == "/dev/null"


def _text(root: str, path: str) -> str:
    """The text of a file; empty if it is a link to something that the root does not contain."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES)
    except (FileNotFoundError, IsADirectoryError):
        return ""


def _device_of(unit: str) -> str:
    """The path that a swap unit's name stands for, as ``systemd-escape --path`` writes it."""
    path = unit.removesuffix(".swap").replace("-", "/")
    return "/" + re.sub(r"\\x([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), path)
