"""Programs of the host, run where the host's own paths hold."""

import os
import subprocess
from collections.abc import Mapping, Sequence


def run_on_host(
    argv: Sequence[str], root: str = "/", environment: Mapping[str, str] | None = None, *, shown: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the host: in its first process's mount namespace where its file system is elsewhere.

    Args:
        argv: the program and its arguments, as the host calls them.
        root: the host's file system.
        environment: variables beside ``PATH``.
        shown: whether what it says goes where ours goes, at once; otherwise it is in the result's ``stdout``.

    Raises:
        OSError: it cannot be started.
    """
    inside = () if os.path.realpath(root) == "/" else ("nsenter", "--target", "1", "--mount", "--")
    return subprocess.run(  # noqa: S603 - argv lists made in this package, never a shell line
        [*inside, *argv],
        check=False,
        text=True,
        stdout=None if shown else subprocess.PIPE,
        stderr=None if shown else subprocess.STDOUT,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
    )
