"""The command that a node runs, as a shell script for the node's start."""

import os
import re
import shlex
from collections.abc import Mapping

import msgspec

from overbook_sandbox.machine import cpio
from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.machine.spec import HOST_ADDRESS, NODE_ADDRESS, MachineSpec

IN_NODE_VARIABLE = "OVERBOOK_IN_NODE"
OUTPUT = "/run/overbook/output"
ENDED = "/run/overbook/ended"

_DEFAULT_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",  # lines reach the host at once
    "PYTHONDONTWRITEBYTECODE": "1",  # bytecode would go to the overlay, which is in RAM
    IN_NODE_VARIABLE: "1",
}
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A command to run in a node.

    Attributes:
        argv: The command; the host's programs are at the same paths in the node.
        share: A folder of the host, at the same path in the node, in which the command may write.
        environment: Variables in addition to PATH, HOME and those for Python.
        directory: The working directory.
        takes_input: Whether `Machine.send` provides its standard input; otherwise that is empty.
        interactive: Whether a person uses the console; otherwise the output is collected.
        first_process: Whether the command is the node's first process, as an init is. It then ends when an
            exit status is written to `ENDED`, and its children print to `OUTPUT`.
    """

    argv: tuple[str, ...]
    share: str
    environment: Mapping[str, str]
    directory: str
    takes_input: bool = False
    interactive: bool = False
    first_process: bool = False


def job_archive(job: Job, spec: MachineSpec, marker: str) -> bytes:
    """A cpio archive with the job's script, to append to the initramfs.

    Args:
        job: The command.
        spec: The node.
        marker: A word that distinguishes the node's own lines from the job's output.

    Raises:
        SandboxError: The job is invalid.
    """
    return cpio.archive([cpio.regular_file("job.sh", _script(job, spec, marker).encode())])


def _script(job: Job, spec: MachineSpec, marker: str) -> str:
    if not job.argv:
        raise SandboxError("there is no command to run in the node")
    if not os.path.isdir(job.share):
        raise SandboxError(f"{job.share}: the folder to share with the node does not exist")
    for name in job.environment:
        if not _VARIABLE_NAME.fullmatch(name):
            raise SandboxError(f"{name!r} is no name of an environment variable")
    settings = {
        "marker": marker,
        "cgroup_version": str(spec.cgroup_version),
        "swap": "on" if spec.swap_on and spec.swap_bytes else "off",
        "address": NODE_ADDRESS if spec.network else "",
        "gateway": HOST_ADDRESS,
        "share": os.path.abspath(job.share),
        "directory": os.path.abspath(job.directory),
        "takes_input": "yes" if job.takes_input else "no",
        "interactive": "yes" if job.interactive else "no",
        "first_process": "yes" if job.first_process else "no",
    }
    variables = _DEFAULT_ENVIRONMENT | dict(job.environment)
    lines = [f"{name}={shlex.quote(value)}" for name, value in settings.items()]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, "job() {", f"    exec {shlex.join(job.argv)}", "}", ""])
