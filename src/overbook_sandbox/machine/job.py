"""The command that a node runs, as the shell script its start reads."""

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
    "PYTHONUNBUFFERED": "1",  # lines reach the host when they are printed
    "PYTHONDONTWRITEBYTECODE": "1",  # they would go to the overlay, which is RAM
    IN_NODE_VARIABLE: "1",
}
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to run in a node.

    Attributes:
        argv: The command; the host's programs are at the same paths in the node.
        share: Folder of the host, at the same path in the node, that the command may write to.
        environment: Variables beside PATH, HOME and the ones that make Python print at once.
        directory: Where the command starts.
        takes_input: Whether its standard input is what `Node.send` gives it; otherwise it is empty.
        interactive: Whether a person uses the console instead of the output being collected.
        first_process: Whether it is the node's first process, as an init is. Its end is then an exit status
            that something writes to `ENDED`, and what it starts prints to `OUTPUT`.
    """

    argv: tuple[str, ...]
    share: str
    environment: Mapping[str, str]
    directory: str
    takes_input: bool = False
    interactive: bool = False
    first_process: bool = False


def job_archive(job: Job, spec: MachineSpec, marker: str) -> bytes:
    """A cpio archive with the job's script, to follow the initramfs.

    Args:
        job: The command.
        spec: The node that it runs in.
        marker: A word that sets the node's own lines apart from the job's output.

    Raises:
        SandboxError: The job cannot be run so.
    """
    return cpio.archive([cpio.regular_file("job.sh", _script(job, spec, marker).encode())])


def _script(job: Job, spec: MachineSpec, marker: str) -> str:
    if not job.argv:
        raise SandboxError("there is no command to run in the node")
    if not os.path.isdir(job.share):
        raise SandboxError(f"{job.share}: the folder to share with the node is not there")
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
