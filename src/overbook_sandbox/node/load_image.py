"""The image of all pods of the Kubernetes node: the load program, which is also the pods' sandbox.

It is an archive in Docker's format that is made here, so that no registry is needed.
"""

import hashlib
import os
from importlib.resources import files
from typing import Any, Final

from overbook_sandbox.cluster.go_toolchain import go_command
from overbook_sandbox.machine.cache import folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host
from overbook_sandbox.node.docker_archive import EXECUTABLE, docker_archive, layer_of_files
from overbook_sandbox.node.kubernetes_messages import PACE_FILE

IMAGE: Final = "localhost/load:1"
"""The image's name for pods, with `imagePullPolicy: Never`."""

_SOURCE: Final = "main.go"
_ARCHIVE: Final = "load.tar"
_PROGRAM: Final = "load"


def load_image(host: Host, cache: str) -> str:
    """The path of the archive, which is made if the cache does not have it for this source.

    Args:
        host: Runs Go.
        cache: The cache folder.

    Raises:
        SandboxUnavailableError: There is no Go, or the build failed.
    """
    source = (files("overbook_sandbox.cluster") / "go" / "load" / _SOURCE).read_bytes()
    final = os.path.join(cache, "load-image", hashlib.sha256(source).hexdigest()[:16])
    archive = os.path.join(final, _ARCHIVE)
    with locked(cache, "load-image"):
        if not os.path.exists(archive):
            with folder_in_the_making(final) as making:
                program = _build(host, go_command(host, cache), source, making)
                layer = layer_of_files({_PROGRAM: program}, mode=EXECUTABLE)
                with open(os.path.join(making, _ARCHIVE), "wb") as file:
                    file.write(docker_archive(IMAGE, [layer], {"Entrypoint": [f"/{_PROGRAM}"]}))
    return archive


def container(
    name: str,
    *,
    hot_mib: int = 0,
    cold_mib: int = 0,
    burst_mib: int = 0,
    wild: bool = False,
    delay_seconds: int = 0,
    **fields: Any,
) -> dict[str, Any]:
    """A pod's container that runs the load program.

    Args:
        name: The container's name.
        hot_mib: Memory that it uses all the time.
        cold_mib: Memory that it uses once, little by little.
        burst_mib: Memory that it uses once, with its first instructions.
        wild: Whether it then allocates more and more; otherwise it does so after SIGUSR1.
        delay_seconds: The time after the start in which it uses nothing.
        fields: The container's other fields, such as `resources`.
    """
    arguments = [f"-hot={hot_mib}", f"-cold={cold_mib}", f"-pace={PACE_FILE}", *(["-wild"] if wild else [])]
    arguments += [f"-burst={burst_mib}"] if burst_mib else []
    arguments += [f"-delay={delay_seconds}s"] if delay_seconds else []
    return {"name": name, "image": IMAGE, "imagePullPolicy": "Never", "args": arguments, **fields}


def _build(host: Host, go: str, source: bytes, folder: str) -> bytes:
    with open(os.path.join(folder, _SOURCE), "wb") as file:
        file.write(source)
    # The program needs only Go's own library, so it is no module.
    variables = ("env", "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
    build = (go, "build", "-trimpath", "-ldflags=-s -w", "-o", _PROGRAM, _SOURCE)
    done = host.run((*variables, *build), folder)
    if done.returncode:
        raise SandboxUnavailableError(f"cannot build the load program:\n{done.stdout.strip()}")
    with open(os.path.join(folder, _PROGRAM), "rb") as file:
        return file.read()
