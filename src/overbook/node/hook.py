"""The OCI hook on a host: its program, its configuration for the runtime, and their paths.

The configuration follows OCI hooks 1.0.0, which CRI-O and Podman read. CRI-O gives a container its pod's
annotations, and the kubelet's labels of the container replace them. So ``io.kubernetes.pod.uid`` and
``io.kubernetes.container.name`` are always the kubelet's, also if the pod has such annotations.
"""

import os
from collections.abc import Iterable
from importlib.resources import files
from typing import Final, get_args

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.overcommit.allowance import Eligibility
from overbook.core.overcommit.writer import HOOK_FILE
from overbook.node.files import HostFile

PROGRAM: Final = "usr/local/libexec/overbook/overbook-swap-hook"
SHELL: Final = "bin/sh"
GUARD: Final = 'trap "exit 0" EXIT; [ -r "$0" ] && . "$0"; exit 0'
"""The command that runs the program in a shell and always succeeds, so that the container always starts."""

_KUBERNETES: Final = {r"^io\.kubernetes\.container\.(hash|name)$": "."}
"""The annotation of Kubernetes' containers. CRI-O compares the annotations that the kubelet gives it, such as
the hash; the labels, such as the name, become annotations only after that."""
_LAUNCHER: Final = {r"^kubevirt\.io/domain$": "."}
"""The annotation of pods of VMs; another pod with this annotation has no allowance."""


def configuration(eligibility: Eligibility) -> bytes:
    """The content of ``overbook-swap.json``: the containers for which the hook runs, and the stage.

    Args:
        eligibility: the eligible pods. For containers of other pods the runtime does not start the hook.
    """
    annotations = _LAUNCHER if eligibility == "BurstableVirtualMachines" else _KUBERNETES
    content = {
        "version": "1.0.0",
        # No timeout: after a timeout the runtime would refuse the container.
        "hook": {"path": f"/{SHELL}", "args": ["sh", "-c", GUARD, f"/{PROGRAM}"]},
        "when": {"annotations": annotations},
        "stages": ["createRuntime"],
    }
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def program_file() -> bytes:
    """The hook's program."""
    return files(f"{__package__}.programs").joinpath("hook.sh").read_bytes()


def hook_files(folder: str, eligibility: Eligibility = "BurstableVirtualMachines") -> dict[str, HostFile]:
    """The files to install, the program first, so that a runtime never finds a configuration without it.

    Args:
        folder: a folder in which the runtime looks for hooks, an absolute path on the host.
        eligibility: the eligible pods.

    Raises:
        InvalidInput: `folder` is no absolute path.
    """
    return {PROGRAM: (program_file(), 0o755), _placed(folder): (configuration(eligibility), 0o644)}


def hook_paths(folders: Iterable[str]) -> tuple[str, ...]:
    """All paths that may exist on the host, in the order of removal: the configurations, then the program.

    Raises:
        InvalidInput: a folder is no absolute path.
    """
    return (*(_placed(folder) for folder in dict.fromkeys(folders)), PROGRAM)


def installed_in(folders: Iterable[str], root: str = "/") -> tuple[str, ...]:
    """The given folders that contain the hook's configuration."""
    return tuple(
        folder for folder in dict.fromkeys(folders) if os.path.lexists(os.path.join(root, _placed(folder)))
    )


def found_eligibility(folders: Iterable[str], root: str = "/") -> Eligibility | None:
    """The eligible pods of the hook in the first of these folders; ``None``: not a file of Overbook.

    Raises:
        OSError: the file cannot be read.
    """
    for folder in folders:
        with open(os.path.join(root, _placed(folder)), "rb") as file:
            content = file.read(1 << 16)
        return next((known for known in get_args(Eligibility) if configuration(known) == content), None)
    return None


def _placed(folder: str) -> str:
    if not folder.startswith("/") or set(folder) & set("\n\r\0"):
        raise InvalidInput("hook folder", folder, "an absolute path")
    return os.path.join(os.path.normpath(folder).lstrip("/"), HOOK_FILE)
