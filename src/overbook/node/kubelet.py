"""The kubelet that runs on this node: its command line, its configuration files, and its own cgroup."""

import os
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration, kubelet_configuration
from overbook.kube.files.one_document import document_fields

MOST_BYTES: Final = 1 << 20
NAMES: Final = ("kubelet", "hyperkube", "k3s", "k3s-server", "microshift")


class Process(msgspec.Struct, frozen=True):
    """A kubelet's process.

    Attributes:
        pid: the process's pid.
        started: its start time in the kernel's ticks, which tells it from a later process with the same pid.
        flags: the flags of its command line, without dashes.
    """

    pid: int
    started: str
    flags: dict[str, str]


class Kubelet(msgspec.Struct, frozen=True):
    """A kubelet and its configuration.

    Attributes:
        pid: the pid of its process.
        configuration: the configuration in force.
        files: the configuration files, in order.
        flags: the flags of its command line, without dashes.
        limits_swap: whether the kubelet finds ``memory.swap.max`` in its own cgroup; without it the kubelet
            silently writes no limit at all. ``None``: not known.
    """

    pid: int
    configuration: KubeletConfiguration
    files: tuple[str, ...]
    flags: dict[str, str]
    limits_swap: bool | None


def running_kubelet(root: str = "/") -> Kubelet | None:
    """The running kubelet; ``None`` if there is none.

    Args:
        root: the host's file system.

    Raises:
        InvalidInput: its configuration is malformed.
        OSError: its configuration cannot be read.
    """
    process = find_process(root)
    return None if process is None else described(process, root)


def find_process(root: str = "/") -> Process | None:
    """The process of the running kubelet; ``None`` if there is none. Every user may read its command line.

    Raises:
        OSError: there is no ``/proc``.
    """
    for pid, words in command_lines(root):
        if os.path.basename(words[0]) in NAMES:
            return Process(pid, started(pid, root), parse_flags(words[1:]))
    return None


def command_lines(root: str = "/") -> Iterator[tuple[int, list[str]]]:
    """Number and command line of each process, by number; the first word is the program.

    Raises:
        OSError: there is no ``/proc``.
    """
    proc = os.path.join(root, "proc")
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        try:
            line = _read(os.path.join(proc, str(pid), "cmdline"))
        except OSError:
            continue  # it has ended meanwhile
        yield pid, line.decode("utf-8", "replace").split("\0")


def started(pid: int, root: str = "/") -> str:
    """The start time of a process in the kernel's ticks; empty if it has ended."""
    try:
        stat = _read(os.path.join(root, "proc", str(pid), "stat"))
    except OSError:
        return ""
    # The second field, the name in parentheses, may contain anything. The start time is the 22nd field.
    fields = stat.rpartition(b")")[2].split()
    return fields[19].decode("ascii", "replace") if len(fields) > 19 else ""


def parse_flags(arguments: list[str]) -> dict[str, str]:
    """The flags ``--name=value``, ``--name value`` and ``--name`` of a command line; the last one counts."""
    flags: dict[str, str] = {}
    for number, word in enumerate(arguments):
        if not word.startswith("-") or not word.strip("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        following = arguments[number + 1] if number + 1 < len(arguments) else "-"
        flags[name] = value if equals else "true" if following.startswith("-") else following
    return flags


def described(process: Process, root: str = "/") -> Kubelet:
    """A kubelet's process with its configuration.

    Raises:
        InvalidInput: its configuration is malformed.
        OSError: its configuration cannot be read.
    """
    files = tuple(_configuration_files(process.flags, root))
    documents = [document_fields(_read(path), path, "KubeletConfiguration") for path in files]
    return Kubelet(
        pid=process.pid,
        configuration=kubelet_configuration(documents, process.flags),
        files=files,
        flags=process.flags,
        limits_swap=limits_swap(process.pid, root),
    )


def _configuration_files(flags: Mapping[str, str], root: str) -> Iterator[str]:
    if path := flags.get("config"):
        yield os.path.join(root, path.lstrip("/"))
    if folder := flags.get("config-dir"):
        inside = os.path.join(root, folder.lstrip("/"))
        for parent, folders, names in os.walk(inside):
            folders.sort()
            yield from (os.path.join(parent, name) for name in sorted(names) if name.endswith(".conf"))


def limits_swap(pid: int, root: str = "/") -> bool | None:
    """Whether a kubelet finds ``memory.swap.max`` in its own cgroup; ``None``: not known."""
    try:
        lines = _read(os.path.join(root, "proc", str(pid), "cgroup")).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        hierarchy, _, path = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if hierarchy == "0":
            # For a reader in another cgroup namespace the path begins with /../../: /../../system.slice/…
            inside = os.path.normpath(f"/{path}").lstrip("/")
            return os.path.exists(os.path.join(root, "sys/fs/cgroup", inside, "memory.swap.max"))
    return None


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MOST_BYTES)
