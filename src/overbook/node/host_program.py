"""Programs of the host, run with the host's own paths."""

import os
import subprocess
from collections.abc import Mapping, Sequence


def run_on_host(
    argv: Sequence[str], root: str = "/", environment: Mapping[str, str] | None = None, *, shown: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a program of the host, in the mount namespace of process 1 unless `root` is ``/``.

    Args:
        argv: the program and its arguments, with paths on the host.
        root: the host's file system.
        environment: variables in addition to ``PATH``.
        shown: whether the output is shown directly; otherwise it is in the result's ``stdout``.

    Raises:
        OSError: the program cannot be started.
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
