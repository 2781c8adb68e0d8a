"""`overbook sandbox`: prepare the emulated node, run a command in it, or open a shell there."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from overbook_sandbox.commands import density

if TYPE_CHECKING:
    from overbook_sandbox.machine.image import Image
    from overbook_sandbox.machine.job import Job
    from overbook_sandbox.machine.spec import MachineSpec

_EXAMPLES = """\
examples:
  overbook sandbox prepare --install-packages
  overbook sandbox prepare --kubernetes
  overbook sandbox run -- free -m
  overbook sandbox run --memory 512Mi --swap 2Gi -- sh -c 'cat /proc/pressure/memory'
  overbook sandbox shell
  overbook sandbox density --list

The node sees this machine's files at the same paths. Its writes stay in its memory and are lost,
except in the folder given with --share.

Exit status of `run`: that of the command; 1: the node failed; 2: the sandbox cannot be used.
Of `density`: see `overbook sandbox density --help`.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command `sandbox` and its verbs."""
    parser = subparsers.add_parser(
        "sandbox",
        help="a real Linux node under emulation",
        description="Run a real Linux node (cgroup v2, PSI, swap) under QEMU emulation. This needs neither "
        "root nor KVM, and changes nothing on this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    prepare = verbs.add_parser("prepare", help="fetch and build the files for booting; fast if they exist")
    prepare.add_argument(
        "--kubernetes",
        action="store_true",
        help="fetch and build also the programs of test clusters (about 15 minutes, once)",
    )
    command = verbs.add_parser("run", help="boot a node, run a command in it as root, show its output")
    shell = verbs.add_parser("shell", help="boot a node with a shell on this terminal; Ctrl-A X ends it")
    benchmark = density.add_parser(verbs)
    for verb in (prepare, command, shell, benchmark):
        verb.add_argument(
            "--install-packages",
            action="store_true",
            help="let apt-get install QEMU and busybox if they are missing",
        )
    for verb in (command, shell):
        verb.add_argument("--memory", default="1Gi", metavar="SIZE", help="the node's memory (default: 1Gi)")
        verb.add_argument(
            "--swap", default="512Mi", metavar="SIZE", help="the node's swap disk (default: 512Mi)"
        )
        verb.add_argument(
            "--kernel",
            choices=("older", "stable", "newer"),
            default="stable",
            help="the kernel of this machine's Debian suite, or an older or newer one (default: stable)",
        )
        verb.add_argument("--no-swap", action="store_true", help="boot without a swap disk")
        verb.add_argument("--cpus", type=int, default=1, metavar="N", help="the node's CPUs (default: 1)")
        verb.add_argument("--share", metavar="DIR", help="folder that the node may write to")
    command.add_argument(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="end the command after this time (default: 600)",
    )
    command.add_argument("argv", nargs="+", metavar="CMD", help="the command, after --")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen verb.

    Returns:
        The exit status: that of the command; 1 if the node failed, 2 if the sandbox cannot be used or the
        arguments are wrong, 130 after Ctrl-C.
    """
    from overbook.core.errors import InvalidInput
    from overbook_sandbox.machine.errors import NodeError, SandboxError
    from overbook_sandbox.machine.image import prepare

    try:
        if args.verb == "density":
            return density.run(args)
        spec = None if args.verb == "prepare" else _spec(args)  # check the arguments before any download
        kernel = spec.kernel if spec else "stable"
        image = prepare(install_packages=args.install_packages, say=_say, kernel=kernel)
        if spec is None:
            _prepare_kubernetes(args)
            print(f"the sandbox is ready: {image.kernel_name}, {image.qemu}")
            return 0
        with _share(args.share) as share:
            return _shell(image, spec, share) if args.verb == "shell" else _run(image, spec, share, args)
    except NodeError as error:
        _say(str(error))
        return 1
    except (SandboxError, InvalidInput) as error:
        _say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130


def _prepare_kubernetes(args: argparse.Namespace) -> None:
    if args.kubernetes:
        from overbook_sandbox.cluster import go_programs
        from overbook_sandbox.machine.cache import cache_folder
        from overbook_sandbox.machine.image import prepare
        from overbook_sandbox.machine.kernel_image import SUITES
        from overbook_sandbox.machine.packages import Host
        from overbook_sandbox.node import crio, kubernetes_node, node_programs

        host, cache = Host(install=args.install_packages, say=_say), cache_folder(os.environ)
        node_programs.prepare(host, cache)
        for kernel in SUITES:
            prepare(install_packages=args.install_packages, say=_say, kernel=kernel)
        programs = go_programs.prepare(say=_say)
        kubernetes_node.prepare(install_packages=args.install_packages, say=_say)
        crio.prepare(host, cache)
        print(f"test clusters are ready: {programs.folder}")


def _spec(args: argparse.Namespace) -> "MachineSpec":
    from overbook.core.errors import InvalidInput
    from overbook_sandbox.machine.spec import MEBIBYTE, MachineSpec

    memory_bytes = _size("--memory", args.memory)
    if memory_bytes < 128 * MEBIBYTE:
        raise InvalidInput("--memory", args.memory, "at least 128Mi, or the kernel does not boot")
    if args.cpus < 1:
        raise InvalidInput("--cpus", args.cpus, "a whole number of at least 1")
    return MachineSpec(
        kernel=args.kernel,
        memory_bytes=memory_bytes,
        swap_bytes=0 if args.no_swap else _size("--swap", args.swap),
        cpus=args.cpus,
        timeout_seconds=getattr(args, "timeout", 0.0),
    )


def _size(option: str, text: str) -> int:
    from overbook.core.errors import InvalidInput
    from overbook.core.kubernetes import quantity

    try:
        size = quantity.parse(text).value()
    except InvalidInput as error:
        raise error.inside(option) from error
    if size < 0:
        raise InvalidInput(option, text, "a size that is not negative")
    return size


def _run(image: "Image", spec: "MachineSpec", share: str, args: argparse.Namespace) -> int:
    from overbook_sandbox.machine.node import Machine

    node = Machine(image, spec, _job(tuple(args.argv), share))
    # Without a handler SIGTERM would leave the shared folder behind.
    previous = signal.signal(signal.SIGTERM, lambda *_: node.stop())
    try:
        result = node.run(
            lambda line: print(line, flush=True),
            lambda seconds: _say(f"the node booted in {seconds:.1f} s"),
        )
    finally:
        signal.signal(signal.SIGTERM, previous)
    return result.exit_status


def _shell(image: "Image", spec: "MachineSpec", share: str) -> int:
    from overbook_sandbox.machine.emulator import run_on_console

    _say("booting; leave with `exit`, or end the node with Ctrl-A X")
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    return run_on_console(image, spec, _job((shell,), share, interactive=True))


def _job(argv: tuple[str, ...], share: str, *, interactive: bool = False) -> "Job":
    from overbook_sandbox.machine.job import Job

    return Job(argv=argv, share=share, environment={}, directory=os.getcwd(), interactive=interactive)


@contextmanager
def _share(chosen: str | None) -> Iterator[str]:
    if chosen is not None:
        yield chosen
        return
    with tempfile.TemporaryDirectory(prefix="overbook-share-") as folder:
        yield folder


def _say(line: str) -> None:
    print(f"overbook: {line}", file=sys.stderr, flush=True)
