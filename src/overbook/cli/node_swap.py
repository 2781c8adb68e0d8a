"""``overbook node swap``: installs the swap program with its settings, and runs it."""

import argparse
import os
import sys
import tempfile
from typing import Any, Final

COMMANDS: Final = ("status", "plan", "apply", "remove")


EXAMPLES: Final = """examples:
  overbook node swap plan --percent 150            what would be done
  overbook node swap apply --percent 150           a swap file of half the RAM, on again after every boot
  overbook node swap apply --kind device --device LABEL=swap --encrypt
  overbook node swap status
  overbook node swap remove                        turn it off and leave nothing behind
"""


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Describe the command."""
    parser = parts.add_parser(
        "swap",
        help="make this node's swap, and keep it",
        description="Swap that is there after every boot, of the size that the percentage demands.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("action", choices=list(COMMANDS), help="what to do")
    parser.add_argument("--kind", choices=["file", "device", "zram"], help="default: file")
    parser.add_argument("--swapfile", metavar="PATH", help="default: /var/lib/overbook/swap/swapfile")
    parser.add_argument("--device", metavar="DEVICE", help="/dev/…, LABEL=… or PARTLABEL=…")
    parser.add_argument("--percent", type=int, metavar="N", help="size by memoryOvercommitPercentage")
    parser.add_argument("--size", metavar="SIZE", help="the size itself, such as 8Gi")
    parser.add_argument("--priority", type=int, metavar="N", help="default: 10")
    parser.add_argument("--discard", choices=["once", "pages", "no"], help="default: once")
    parser.add_argument("--encrypt", action="store_true", help="with a key that nobody keeps")
    parser.add_argument(
        "--no-units", action="store_true", help="do not install units: swap until the next boot"
    )
    parser.add_argument("--dry-run", action="store_true", help="as plan")
    parser.add_argument(
        "--fsroot", metavar="DIR", default="/", help="where the host's file system is (default: /)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do it; 1 where the program refused.

    Raises:
        InvalidInput: a setting that cannot work.
        OSError: a file cannot be written.
    """
    from overbook.host.swap_service import SwapSettings

    settings = _settings(arguments, SwapSettings)
    action = "plan" if getattr(arguments, "dry_run", False) else arguments.action
    if action == "apply":
        return _apply(arguments, settings)
    if action == "remove":
        return _remove(arguments)
    return _program(action, arguments.fsroot, settings)


def _settings(arguments: argparse.Namespace, kind: Any) -> Any:
    """Those in force on the host, with the options given."""
    import msgspec

    from overbook.cli.units import size_bytes
    from overbook.host.swap_service import read_settings

    known = read_settings(arguments.fsroot) or kind(kubelet_configs=_kubelet_configs(arguments.fsroot))
    given = {name: value for name, value in vars(arguments).items() if name in kind.__struct_fields__}
    if size := getattr(arguments, "size", None):
        given["size_bytes"] = size_bytes(size, "--size")
    settings = msgspec.structs.replace(known, **given)
    settings.check()
    return settings


def _kubelet_configs(root: str) -> tuple[str, ...]:
    """The running kubelet's configuration file and its folder of drop-ins, as the host calls them."""
    from overbook.cli.node_kubelet import running_kubelet

    kubelet = running_kubelet(root)
    if kubelet is None:
        return ()
    return tuple(path for flag in ("config", "config-dir") if (path := kubelet.flags.get(flag)))


def _apply(arguments: argparse.Namespace, settings: Any) -> int:
    from overbook.host.installation import install, run_on_host
    from overbook.host.swap_service import MAKE_UNIT, ON_UNIT, host_files

    root = arguments.fsroot
    for path in install(host_files(settings), root):
        print(f"wrote /{path}")
    status = _program("apply", root, None)
    if getattr(arguments, "no_units", False) or not os.path.isdir(os.path.join(root, "run/systemd/system")):
        return status
    for command in (["daemon-reload"], ["enable", ON_UNIT, MAKE_UNIT]):
        done = run_on_host(["systemctl", *command], root)
        if done.returncode:
            print(f"overbook: systemctl {' '.join(command)}: {done.stdout.strip()}", file=sys.stderr)
            return 1
    print(f"enabled {ON_UNIT} and {MAKE_UNIT}: swap is on again after every boot")
    return status


def _remove(arguments: argparse.Namespace) -> int:
    """Swap off first: its program and its settings are needed for that."""
    from overbook.host.installation import remove, run_on_host
    from overbook.host.swap_service import MAKE_UNIT, ON_UNIT, PATHS, PROGRAM

    root = arguments.fsroot
    if os.path.exists(os.path.join(root, PROGRAM)):
        status = _program("remove", root, None)
        if status:
            return status
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        run_on_host(["systemctl", "disable", "--now", ON_UNIT, MAKE_UNIT], root)
    for path in remove(PATHS, root):
        print(f"removed /{path}")
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        run_on_host(["systemctl", "daemon-reload"], root)
    return 0


def _program(command: str, root: str, settings: Any) -> int:
    """Run the host's program; with settings, ours with these, and nothing is installed."""
    from overbook.host.installation import run_on_host
    from overbook.host.swap_service import PROGRAM, program_file, settings_file

    if settings is None:
        done = run_on_host([f"/{PROGRAM}" if root != "/" else os.path.join(root, PROGRAM), command], root)
    else:
        with tempfile.TemporaryDirectory(prefix="overbook-", dir=os.path.join(root, "run")) as folder:
            below = "/" + os.path.relpath(folder, root)
            with open(os.path.join(folder, "swap"), "wb") as file:
                file.write(program_file())
            with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as conf:
                conf.write(settings_file(settings))
            done = run_on_host(["sh", f"{below}/swap", command], root, {"OVERBOOK_CONF": f"{below}/conf"})
    print(done.stdout, end="")
    return 1 if done.returncode else 0
