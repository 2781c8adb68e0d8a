"""Images are made without a container engine, by doing the steps of the Containerfile one by one.

Below lies Debian's Python, as the image that the Containerfile begins with has it; above, a part of Overbook.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.node.docker_archive import docker_archive, layer_of_folder
from overbook_sandbox.node.node_programs import node_program
from tests.containerfile import one
from tests.docs.reading import ROOT

PLACE: Final = "/opt/overbook"
_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NOT_NEEDED: Final = ("usr/share", "usr/lib/x86_64-linux-gnu/gconv")
_LIBRARIES: Final = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
_LOADER: Final = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"


def install_component(component: str, folder: str) -> None:
    """Put a component's files where its image has them, as its stage of the Containerfile does."""
    step = json.loads(one(f"{component}-files", "RUN"))
    assert step[-1] == PLACE
    _do([*step[:-1], folder], {**os.environ, "PYTHON": sys.executable})


def copy_python(step: str, folder: str) -> None:
    """Put Debian's Python into a folder, with what a step of the Containerfile adds to it.

    Raises:
        SandboxUnavailableError: It is not there, or is not this one, for which our files are made.
    """
    python = node_program("python3")
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not os.path.exists(os.path.join(python.tree, "usr/bin", own)):
        raise SandboxUnavailableError(f"the image's Python is Debian's, which is not {own}")
    shutil.copytree(python.tree, folder, symlinks=True)
    program, *arguments = json.loads(step)
    assert program == "python3"
    libraries = ":".join(os.path.join(folder, each) for each in _LIBRARIES)
    there = [os.path.join(folder, each) for each in (_LOADER, f"usr/bin/{program}")]
    _do([there[0], "--library-path", libraries, there[1], *arguments], {})


@functools.cache
def _python_layer(step: str) -> bytes:
    """Return the lower layer, the same for all images."""
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "python")
        copy_python(step, tree)
        return layer_of_folder(tree, without=_NOT_NEEDED)


def _do(command: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - no shell; the argv is ours
    assert done.returncode == 0, done.stderr


def write_image(component: str, name: str, folder: Path) -> str:
    """Make a component's image and return the path of its archive.

    Args:
        component: which.
        name: with its tag.
        folder: an empty one.

    Raises:
        SandboxUnavailableError: Debian's Python is not there, or is not this one.
    """
    python = _python_layer(one(component, "RUN"))
    install_component(component, str(folder / "files"))
    config = {
        "Env": [_PATH, *one(component, "ENV").split()],
        "Entrypoint": json.loads(one(component, "ENTRYPOINT")),
        "Cmd": json.loads(one(component, "CMD")),
        "User": one(component, "USER"),
        "WorkingDir": one(component, "WORKDIR"),
    }
    layers = [python, layer_of_folder(str(folder / "files"), PLACE.lstrip("/"))]
    archive = folder / f"{component}.tar"
    archive.write_bytes(docker_archive(name, layers, config))
    return str(archive)
