"""The running kubelet with its configuration, from the places that its distribution uses."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration, kubelet_configuration
from overbook.kube.files.one_document import document_fields
from overbook.node.kubelet.process import Process, find_process, is_kernels, limits_swap, read_bytes, unit_of


class Kubelet(msgspec.Struct, frozen=True):
    """A kubelet and its configuration.

    Attributes:
        pid: the pid of its process.
        configuration: the configuration in force.
        files: the configuration files, in order.
        flags: the kubelet's flags, without dashes, wherever they are written.
        limits_swap: whether the kubelet finds ``memory.swap.max`` in its own cgroup; without it the kubelet
            silently writes no limit at all. ``None``: not known.
        minor: the minor version of the kubelet 1.x; ``None``: not known.
        unit: the systemd unit in which it runs; empty: not known.
        place: where its settings are changed, for people; empty: in its configuration.
        file: the path of its configuration file, as the kubelet sees it; empty: it has none.
        folder: the path of the folder of its drop-ins; empty: it has none.
        missing: the path of its configuration file if that has gone since the kubelet started.
    """

    pid: int
    configuration: KubeletConfiguration
    files: tuple[str, ...]
    flags: dict[str, str]
    limits_swap: bool | None
    minor: int | None = None
    unit: str = ""
    place: str = ""
    file: str = ""
    folder: str = ""
    missing: str = ""


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


def described(process: Process, root: str = "/", *, whole: bool = True) -> Kubelet:
    """A kubelet's process with its configuration.

    Args:
        process: the process.
        root: the host's file system.
        whole: whether all of the host is below the root. If not, a distribution's missing files are unread,
            and not replaced by its defaults.

    Raises:
        InvalidInput: its configuration is malformed.
        OSError: its configuration cannot be read.
    """
    # An agent starts without these; it needs them only where it finds a kubelet's process.
    from overbook.node.kubelet.sources import sources  # noqa: PLC0415 - loaded only where it is needed
    from overbook.node.kubelet.version import minor_version  # noqa: PLC0415 - loaded only where it is needed

    found = sources(process, root, whole=whole)
    file = [_inside(process.pid, found.file, root)] if found.file else []
    folder = _inside(process.pid, found.folder, root) if found.folder else ""
    missing = found.file if whole and _has_gone(found.file, file) else ""
    files = (*(file if not missing else ()), *(_drop_ins(folder) if folder else ()))
    documents = [document_fields(read_bytes(path), path, "KubeletConfiguration") for path in files]
    if missing:
        documents.insert(0, {})
    minor = minor_version(process, root)
    return Kubelet(
        pid=process.pid,
        configuration=kubelet_configuration(
            documents, found.flags, has_file=bool(file) and found.has_default_thresholds, minor=minor
        ),
        files=files,
        flags=dict(found.flags),
        limits_swap=limits_swap(process.pid, root),
        minor=minor,
        unit=unit_of(process.pid, root),
        place=found.place,
        file=found.file,
        folder=found.folder,
        missing=missing,
    )


def _has_gone(named: str, paths: Sequence[str]) -> bool:
    """Whether a file does not exist whose folder does; ``/etc`` exists in every image, so it says nothing."""
    return any(
        not os.path.lexists(path)
        and os.path.dirname(named) != "/etc"
        and os.path.isdir(os.path.dirname(path))
        for path in paths
    )


def _inside(pid: int, path: str, root: str) -> str:
    """A path of the kubelet's, as it is found here: in its own root if that can be read, else below ours.

    A kubelet in a container, as on kind and Talos, has files of its own.
    """
    proc = os.path.join(root, "proc", str(pid))
    if not path.startswith("/"):
        try:
            path = os.path.join(os.readlink(os.path.join(proc, "cwd")), path)
        except OSError:
            path = f"/{path}"
    inner = os.path.join(proc, "root")
    own = os.path.join(inner, path.lstrip("/"))
    if (is_kernels(root) or not os.path.islink(inner)) and os.path.exists(own):
        return own
    return os.path.join(root, path.lstrip("/"))


def _drop_ins(folder: str) -> Iterator[str]:
    """The drop-ins of a folder in the kubelet's order: by name, a folder at the place of its own name.

    Raises:
        OSError: a folder cannot be read; without its folder of drop-ins the kubelet does not start.
    """
    if os.path.islink(folder):
        return  # the kubelet walks the folder without following links, so it finds nothing
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if entry.is_dir(follow_symlinks=False):
            yield from _drop_ins(entry.path)
        elif entry.name.endswith(".conf"):
            yield entry.path
