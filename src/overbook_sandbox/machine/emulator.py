"""The start of the emulator, such that it leaves nothing behind.

The disk and the initramfs are files without a name, and the kernel ends the emulator when the process that
started it ends for any reason.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from overbook_sandbox.machine.image import Image
from overbook_sandbox.machine.job import Job, job_archive
from overbook_sandbox.machine.spec import MachineSpec, qemu_argv


class Emulator(NamedTuple):
    """A running emulator.

    Attributes:
        process: The emulator's process, whose standard output is the node's console.
        output: The node's second channel, with the job's output.
    """

    process: "subprocess.Popen[bytes]"
    output: socket.socket


class _Files(NamedTuple):
    initramfs: int
    swap_disk: int | None

    def descriptors(self) -> tuple[int, ...]:
        return (self.initramfs,) if self.swap_disk is None else (self.initramfs, self.swap_disk)


@contextmanager
def emulator(image: Image, spec: MachineSpec, job: Job, marker: str) -> Iterator[Emulator]:
    """Boot a node, which is ended at the end of the block.

    Args:
        image: The image to boot.
        spec: The node.
        job: The command.
        marker: The word that begins the node's own lines in the output.

    Raises:
        SandboxError: The job is invalid.
    """
    with ExitStack() as stack:
        files = stack.enter_context(_files(image, spec, job, marker))
        ours, theirs = socket.socketpair()
        stack.enter_context(ours)
        with theirs:  # closed here, so that the channel ends with the emulator
            process = subprocess.Popen(  # noqa: S603 - arguments built by qemu_argv
                _argv(image, spec, job, files, theirs.fileno()),
                pass_fds=(*files.descriptors(), theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches only this process, which then ends the emulator
            )
        stack.callback(_end, process)
        yield Emulator(process, ours)


def run_on_console(image: Image, spec: MachineSpec, job: Job) -> int:
    """Boot a node whose console is this terminal; Ctrl-A X ends it.

    Args:
        image: The image to boot.
        spec: The node.
        job: An interactive job.

    Returns:
        The emulator's exit status.

    Raises:
        SandboxError: The job is invalid.
    """
    with _files(image, spec, job, "") as files:
        argv = _argv(image, spec, job, files, None)
        return subprocess.run(argv, check=False, pass_fds=files.descriptors()).returncode  # noqa: S603


@contextmanager
def _files(image: Image, spec: MachineSpec, job: Job, marker: str) -> Iterator[_Files]:
    archive = job_archive(job, spec, marker)
    with ExitStack() as stack:
        initramfs = stack.enter_context(open(os.memfd_create("initramfs"), "wb", buffering=0))
        with open(image.initramfs, "rb") as common:
            shutil.copyfileobj(common, initramfs)
        initramfs.write(archive)
        if spec.kept_disk:
            yield _Files(initramfs.fileno(), stack.enter_context(open(spec.kept_disk, "r+b")).fileno())
            return
        if not spec.swap_bytes:
            yield _Files(initramfs.fileno(), None)
            return
        disk = stack.enter_context(tempfile.TemporaryFile())
        disk.truncate(spec.swap_bytes)
        yield _Files(initramfs.fileno(), disk.fileno())


def _argv(image: Image, spec: MachineSpec, job: Job, files: _Files, output_fd: int | None) -> list[str]:
    argv = qemu_argv(
        spec,
        qemu=image.qemu,
        kernel=image.kernel,
        initramfs=_path(files.initramfs),
        share=os.path.abspath(job.share),
        swap_disk=None if files.swap_disk is None else _path(files.swap_disk),
        output_fd=output_fd,
    )
    # Without setpriv (util-linux), an emulator would survive if its host process is killed with SIGKILL.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *argv] if setpriv else argv


def _path(descriptor: int) -> str:
    """A path with which the emulator opens an inherited file without a name."""
    return f"/proc/self/fd/{descriptor}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
