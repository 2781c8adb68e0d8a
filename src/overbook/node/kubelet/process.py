"""The process in which this node's kubelet runs, found by its command line and its cgroup.

Most distributions start a program ``kubelet``. Some build it into another program: k3s, MicroK8s
(``kubelite``) and MicroShift. k3s and RKE2 overwrite their command line with a title, such as
``/usr/local/bin/k3s server``, so that their flags are not seen. A process in a pod, such as the k3s of a
virtual cluster, is not this node's kubelet.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from overbook.core.kubernetes.kubelet_flags import parse_flags

MOST_BYTES: Final = 1 << 20

Program = Literal["kubelet", "k3s", "rke2", "kubelite", "microshift"]
"""The program of which a kubelet's process is one."""

LOOKED_FOR: Final = (
    "kubelet, hyperkube kubelet, k3s or rke2 (server or agent), kubelite (MicroK8s), microshift"
)
"""The programs that are looked for, in a sentence for people."""

_KUBELET: Final = frozenset({"kubelet", ".kubelet-wrapped"})
_RANCHER: Final[dict[str, Program]] = {
    "k3s": "k3s",
    "k3s-server": "k3s",
    "k3s-agent": "k3s",
    "rke2": "rke2",
}
_ROLES: Final = frozenset({"server", "agent"})
_IN_POD: Final = re.compile(r"/kubepods|[/-]pod[0-9a-f]{8}[-_]")
_IN_CONTAINER: Final = re.compile(r"/docker|/libpod|/lxc")


CommandLines = Sequence[tuple[int, list[str]]]
"""Number and command line of each process."""


class Process(msgspec.Struct, frozen=True):
    """A kubelet's process.

    Attributes:
        pid: the process's pid.
        started: its start time in the kernel's ticks, which tells it from a later process with the same pid.
        flags: the flags of its command line, without dashes. They are the kubelet's own only for `kubelet`.
        program: the program that runs the kubelet.
        words: its command line; a title that replaced the command line is split at blanks.
        path: the path of its program, as far as it is known.
    """

    pid: int
    started: str
    flags: dict[str, str]
    program: Program = "kubelet"
    words: tuple[str, ...] = ()
    path: str = ""


def find_process(root: str = "/", lines: CommandLines | None = None) -> Process | None:
    """The process of the running kubelet; ``None`` if there is none. Every user may read its command line.

    Of several, a program ``kubelet`` wins over one that has a kubelet built in (RKE2 starts a kubelet as a
    process of its own), and one on the host over one in a container.

    Args:
        root: the host's file system.
        lines: what `command_lines` gave, if it was read before.

    Raises:
        OSError: there is no ``/proc``.
    """
    found = list[tuple[tuple[bool, bool, int], Process]]()
    for pid, line in command_lines(root) if lines is None else lines:
        words = _words(line)
        path = _program_path(pid, words[0], root)
        program = _program(words, path)
        if program is None:
            continue
        cgroup = cgroup_of(pid, root) or ""
        if _IN_POD.search(cgroup):
            continue
        flags = parse_flags(words[1:])
        process = Process(pid, started(pid, root), flags, program, tuple(words), path)
        found.append(((program != "kubelet", bool(_IN_CONTAINER.search(cgroup)), pid), process))
    return min(found, key=lambda each: each[0])[1] if found else None


def command_lines(root: str = "/") -> Iterator[tuple[int, list[str]]]:
    """Number and command line of each process, by number; the first word is the program.

    Raises:
        OSError: there is no ``/proc``.
    """
    proc = os.path.join(root, "proc")
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            line = read_bytes(os.path.join(proc, str(pid), "cmdline"))
        except OSError:
            continue  # it has ended meanwhile
        yield pid, line.decode("utf-8", "replace").split("\0")


def started(pid: int, root: str = "/") -> str:
    """The start time of a process in the kernel's ticks; empty if it has ended."""
    try:
        stat = read_bytes(os.path.join(root, "proc", str(pid), "stat"))
    except OSError:
        return ""
    # The second field, the name in parentheses, may contain anything. The start time is the 22nd field.
    fields = stat.rpartition(b")")[2].split()
    return fields[19].decode("ascii", "replace") if len(fields) > 19 else ""


def cgroup_of(pid: int, root: str = "/") -> str | None:
    """The path of a process's cgroup of version 2, as this reader sees it; ``None``: not known."""
    try:
        text = read_bytes(os.path.join(root, "proc", str(pid), "cgroup")).decode("utf-8", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        hierarchy, _, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if hierarchy == "0":
            # For a reader in another cgroup namespace the path begins with /../../: /../../system.slice/…
            return os.path.normpath(f"/{path}").replace("//", "/")
    return None


def limits_swap(pid: int, root: str = "/") -> bool | None:
    """Whether a kubelet finds ``memory.swap.max`` in its own cgroup; ``None``: not known."""
    path = cgroup_of(pid, root)
    if path is None:
        return None
    return os.path.exists(os.path.join(root, "sys/fs/cgroup", path.lstrip("/"), "memory.swap.max"))


def unit_of(pid: int, root: str = "/") -> str:
    """The systemd unit in which a process runs, from its cgroup; empty: not known."""
    parts = (cgroup_of(pid, root) or "").split("/")
    return next((part for part in reversed(parts) if part.endswith(".service")), "")


def kubelet_unit(root: str = "/") -> str:
    """The systemd unit in which this node's kubelet runs; empty: none runs, or its unit is not known."""
    try:
        process = find_process(root)
    except OSError:
        return ""
    return unit_of(process.pid, root) if process else ""


def is_kernels(root: str) -> bool:
    """Whether ``/proc`` below the root is the kernel's: its links then lead into the processes' own roots."""
    return os.path.ismount(os.path.join(root, "proc"))


def read_bytes(path: str) -> bytes:
    """The content of a file, up to a mebibyte.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(MOST_BYTES)


def _words(line: Sequence[str]) -> list[str]:
    """The words of a command line; a title, one text with blanks that fills it, is split."""
    words = list(line)
    while len(words) > 1 and not words[-1]:
        words.pop()
    if len(words) == 1 and " " in words[0].strip():
        return words[0].split()
    return words


def _program(words: Sequence[str], path: str) -> Program | None:
    """The program of a process, if a kubelet runs in it; ``None``: none does."""
    names = (os.path.basename(words[0]), os.path.basename(path))
    first = next((word for word in words[1:] if word), "")
    for name in names:
        if name in _KUBELET or (name == "hyperkube" and first == "kubelet"):
            return "kubelet"
        if name == "kubelite":
            return "kubelite"
        if name == "microshift" and (not first or first == "run"):
            return "microshift"
        if (rancher := _RANCHER.get(name)) and (first in _ROLES or name not in {"k3s", "rke2"}):
            off = "--disable-agent" in words or "--disable-agent=true" in words
            return None if off else rancher
    return None


def _program_path(pid: int, word: str, root: str) -> str:
    """The path of a process's program: the link in ``/proc`` if it can be read, else the first word."""
    try:
        link = os.readlink(os.path.join(root, "proc", str(pid), "exe"))
    except OSError:
        link = ""
    return link.removesuffix(" (deleted)") or (word if word.startswith("/") else "")
