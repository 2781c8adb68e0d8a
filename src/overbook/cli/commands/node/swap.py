"""``overbook node swap``: install the swap program with its settings, and run it."""

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from overbook.node.swap import SwapSettings

COMMANDS: Final = ("status", "plan", "apply", "remove")
KUBELET_PLACES: Final = (
    "/etc/kubernetes/kubelet.conf",
    "/etc/openshift/kubelet.conf.d",
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet/config.json",
    "/etc/kubernetes/kubelet/config.json.d",
    "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d",
    "/var/lib/rancher/rke2/agent/etc/kubelet.conf.d",
    "/var/lib/microshift/resources/kubelet/config/config.yaml",
)
"""The configuration of a kubelet that does not run at present: OpenShift's paths, kubeadm's, and others'."""

_KIND: Final = "kind of swap (default: file); existing: make none, and judge the swap that others make"
EXAMPLES: Final = """examples:
  overbook node swap plan --percent 150            show what `apply` would do
  overbook node swap apply --percent 150           make a swap file of half the RAM, kept over reboots
  overbook node swap apply --kind device --device PARTLABEL=swap --encrypt
  overbook node swap apply --folder /data/swap     move the swap file there
  overbook node swap apply --kind existing --percent 150
  overbook node swap status --output json
  overbook node swap status --percent 150          does the swap suffice that another program made?
  overbook node swap remove                        turn swap off and remove all its files

Exit status of status: 0 if swap is on as wanted, else 1. Of plan, apply and remove: 1 if refused, with the
reason.
"""


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.node.command import add_fsroot_option

    parser = parts.add_parser(
        "swap",
        help="set up this node's swap, and keep it over reboots",
        description="Set up swap of the size that the percentage needs, and keep it over reboots.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("action", nargs="?", choices=COMMANDS, default="status", help="what to do (default: status)")
    add("--kind", choices=["file", "device", "zram", "existing"], help=_KIND)
    add("--folder", metavar="PATH", help="folder of the swap file (default: /var/lib/overbook/swap)")
    add("--device", metavar="DEVICE", help="the device: /dev/…, LABEL=… or PARTLABEL=…")
    add("--percent", type=int, metavar="N", help="compute the size from memoryOvercommitPercentage")
    add("--size", metavar="SIZE", help="the size itself, such as 8Gi")
    add("--priority", type=int, metavar="N", help="priority of swapon (default: 10)")
    add("--discard", choices=["once", "pages", "no"], help="when freed pages are discarded (default: once)")
    add("--encrypt", action=argparse.BooleanOptionalAction, help="encrypt with a key that is not stored")
    add("--disk-floor", metavar="SIZE", help="size that stays free on the disk (default: 1Gi)")
    add(
        "--disk-floor-percent",
        type=int,
        metavar="N",
        help="the same in percent (default: what the kubelet keeps free for images)",
    )
    add(
        "--keep-on",
        action=argparse.BooleanOptionalAction,
        help="look every minute, and turn swap on again if another program switched it off",
    )
    add("--no-units", action="store_true", help="do not install units: swap only until the next boot")
    add("--dry-run", action="store_true", help="only show what apply or remove would do")
    add("-o", "--output", choices=["text", "json"], default="text", help="format (default: text)")
    add_fsroot_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action. Returns 1 if the program refused.

    Raises:
        InvalidInput: a setting is invalid.
        OSError: a file cannot be written.
    """
    from overbook.cli.commands.node.swap_existing import apply_existing, remove_existing
    from overbook.node.swap import SwapSettings, read_settings

    root = arguments.fsroot
    installed = read_settings(root)
    settings = _settings(arguments, installed)
    left = installed is not None and installed.kind == "existing"
    if arguments.action == "status":
        return _status(arguments, installed, settings)
    if arguments.action == "remove":
        if left:
            return 0 if _dry(arguments) else remove_existing(root)
        return _plan(arguments, installed or SwapSettings(), "remove") if _dry(arguments) else _remove(root)
    if settings.kind == "existing":
        return apply_existing(arguments, settings, is_made=installed is not None and not left)
    if _dry(arguments):
        return _plan(arguments, settings, installed=installed)
    return _apply(arguments, settings, installed)


def _dry(arguments: argparse.Namespace) -> bool:
    return arguments.action == "plan" or getattr(arguments, "dry_run", False)


def _settings(arguments: argparse.Namespace, installed: "SwapSettings | None") -> "SwapSettings":
    """The settings: those in force on the host, changed by its kubelet's present ones and the options."""
    import msgspec

    from overbook.cli.units import size_bytes
    from overbook.node.swap import SwapSettings
    from overbook.node.swap_places import other_bytes

    given: dict[str, Any] = _kubelet_settings(arguments.fsroot, first=installed is None)
    options = vars(arguments)
    given |= {name: value for name, value in options.items() if name in SwapSettings.__struct_fields__}
    for option, field in (("size", "size_bytes"), ("disk_floor", "disk_floor_bytes")):
        if option in options:
            given[field] = size_bytes(options[option], f"--{option.replace('_', '-')}")
    if "percent" in options and "size" not in options:
        given["size_bytes"] = 0
    settings = msgspec.structs.replace(installed or SwapSettings(), **given)
    if arguments.action in {"plan", "apply"}:
        counted = 0 if settings.kind == "existing" else other_bytes(arguments.fsroot, installed)
        settings = msgspec.structs.replace(settings, other_bytes=counted)
    settings.check()
    return settings


def _kubelet_settings(root: str, *, first: bool) -> dict[str, Any]:
    """The settings from the running kubelet: its files, its flag, and the disk space it keeps free."""
    from overbook.node.kubelet import running_kubelet

    kubelet = running_kubelet(root)
    if kubelet is None:
        existing = [path for path in KUBELET_PLACES if os.path.exists(os.path.join(root, path.lstrip("/")))]
        return {"kubelet_configs": tuple(existing)} if first else {}
    kubelet_settings = kubelet.configuration
    found: dict[str, Any] = {
        "kubelet_configs": tuple(
            path for path in (kubelet.file, kubelet.folder) if path and path != kubelet.missing
        ),
        "kubelet_fail_swap_on": kubelet_settings.fail_swap_on if "fail-swap-on" in kubelet.flags else None,
    }
    if not found["kubelet_configs"] and found["kubelet_fail_swap_on"] is None:
        found["kubelet_fail_swap_on"] = kubelet_settings.fail_swap_on
    return found | ({"disk_floor_percent": kubelet_settings.disk_percent_kept_free} if first else {})


def _apply(arguments: argparse.Namespace, settings: "SwapSettings", installed: "SwapSettings | None") -> int:
    from overbook.node.files import install, remove
    from overbook.node.host_program import run_on_host
    from overbook.node.kubelet import kubelet_unit
    from overbook.node.swap import NEXT_SETTINGS, RUN_SETTINGS, STATE, host_files, program_path
    from overbook.node.swap_move import leave_old
    from overbook.node.swap_places import sufficing, unwritable

    root = arguments.fsroot
    if why := unwritable(root):
        print(f"overbook: {why}", file=sys.stderr)
        return 1
    if (installed is None or installed.kind == "existing") and (why := sufficing(root, settings)):
        print(f"{why}; --size makes swap in addition, --kind existing has what is there judged")
        return 0
    program = program_path(root)
    if installed and installed.kind == "existing":
        remove((RUN_SETTINGS, STATE), root)
        installed = None
    if installed and not _move(root, program, installed, settings):
        return 1
    if not settings.keep_on:
        _remove_timer(root)
    for path in install(host_files(settings, kubelet_unit(root), program), root):
        print(f"wrote /{path}", flush=True)
    remove([NEXT_SETTINGS], root)
    status = run_on_host([f"/{program}", "apply"], root, shown=True).returncode
    if not status and not leave_old(root, program, settings):
        status = 1
    units = not getattr(arguments, "no_units", False) and _has_systemd(root)
    if units and not _enable(root, keep_on=settings.keep_on):
        return 1
    return 1 if status else 0


def _move(root: str, program: str, installed: "SwapSettings", settings: "SwapSettings") -> bool:
    """Make the swap in its new place, if that is another one. False: refused, and the old swap stays."""
    from overbook.node.files import install
    from overbook.node.swap import program_file
    from overbook.node.swap_move import leave_old, move, moves

    install({program: (program_file(), 0o755)}, root)
    if not leave_old(root, program, installed):
        return False
    if not moves(root, installed, settings) or move(root, program, installed, settings):
        return True
    print("overbook: the swap was not moved; it stays where it was", file=sys.stderr)
    return False


def _remove_timer(root: str) -> None:
    from overbook.node.files import remove
    from overbook.node.host_program import run_on_host
    from overbook.node.swap import KEEP_UNIT, UNIT_FOLDER

    timer = f"{UNIT_FOLDER}/{KEEP_UNIT}"
    if os.path.exists(os.path.join(root, timer)):
        if _has_systemd(root):
            run_on_host(["systemctl", "disable", "--now", KEEP_UNIT], root)
        remove([timer], root)
        print(f"removed /{timer}")


def _enable(root: str, *, keep_on: bool) -> bool:
    from overbook.node.host_program import run_on_host
    from overbook.node.swap import KEEP_UNIT, MAKE_UNIT, ON_UNIT

    keep = [["enable", "--now", KEEP_UNIT]] if keep_on else []
    for command in (["daemon-reload"], ["enable", ON_UNIT, MAKE_UNIT], *keep):
        done = run_on_host(["systemctl", *command], root)
        if done.returncode:
            print(f"overbook: systemctl {' '.join(command)}: {done.stdout.strip()}", file=sys.stderr)
            return False
    print(f"enabled {ON_UNIT} and {MAKE_UNIT}: swap is turned on after every boot")
    if keep_on:
        print(f"enabled {KEEP_UNIT}: swap that is switched off is turned on again within two minutes")
    return True


def _remove(root: str) -> int:
    """Turn swap off, which needs the program and its settings, and then remove the files."""
    from overbook.node.files import remove
    from overbook.node.host_program import run_on_host
    from overbook.node.swap import (
        KEEP_UNIT,
        MAKE_UNIT,
        ON_UNIT,
        PATHS,
        UNIT_FOLDER,
        SwapSettings,
        program_path,
        read_settings,
    )
    from overbook.node.swap_move import leave_old

    systemd = _has_systemd(root)
    program = program_path(root)
    if systemd and os.path.exists(os.path.join(root, UNIT_FOLDER, KEEP_UNIT)):
        run_on_host(["systemctl", "disable", "--now", KEEP_UNIT], root)
    if os.path.exists(os.path.join(root, program)):
        if systemd:  # this unit would make the swap again
            run_on_host(["systemctl", "stop", MAKE_UNIT], root)
        if not leave_old(root, program, read_settings(root) or SwapSettings()):
            return 1
        if run_on_host([f"/{program}", "remove"], root, shown=True).returncode:
            return 1
    if systemd:
        run_on_host(["systemctl", "disable", "--now", ON_UNIT, MAKE_UNIT], root)
    for path in remove(PATHS, root):
        print(f"removed /{path}")
    if systemd:
        run_on_host(["systemctl", "daemon-reload"], root)
    left = [f"/{path}" for path in PATHS if os.path.lexists(os.path.join(root, path))]
    if left:
        print(f"overbook: still there: {', '.join(left)}", file=sys.stderr)
        return 1
    print("all files and units of swap are removed from this node")
    return 0


def _plan(
    arguments: argparse.Namespace,
    settings: "SwapSettings",
    *command: str,
    installed: "SwapSettings | None" = None,
) -> int:
    from overbook.cli.output import write_structured
    from overbook.node.swap_move import moves, run_uninstalled
    from overbook.node.swap_places import notes, sufficing

    root = arguments.fsroot
    said = [] if command else list(notes(root, settings))
    status, output = 0, list[str]()
    if command or installed or not sufficing(root, settings):
        status, output = run_uninstalled(root, settings, "plan", *command)
    if installed and not status and moves(root, installed, settings):
        status, left = run_uninstalled(root, installed, "plan", "leave")
        output += left
    prefix = "overbook-swap: "
    refused = [line.removeprefix(prefix) for line in output if line.startswith(prefix)]
    steps = [line for line in output if not line.startswith(prefix)]
    if arguments.output == "json":
        why = " ".join(refused) if status else None
        write_structured({"steps": steps, "refused": why, "notes": said}, "json")
        return status
    for line in steps:
        print(line)
    for line in said:
        print(f"note: {line}")
    if status:
        print(f"refused: {' '.join(refused)}")
    return status


def _status(arguments: argparse.Namespace, stored: "SwapSettings | None", given: "SwapSettings") -> int:
    from overbook.cli.commands.node.swap_existing import show_existing
    from overbook.cli.output import write_structured
    from overbook.core.text import shown
    from overbook.node.swap import KEEP_UNIT, program_path
    from overbook.node.swap_move import run_uninstalled

    settings = stored or given
    installed = os.path.exists(os.path.join(arguments.fsroot, program_path(arguments.fsroot)))
    kept = settings.kind == "existing"
    if kept or (not installed and "percent" in arguments):
        return show_existing(arguments, given, stored=kept and stored is not None)
    _, output = run_uninstalled(arguments.fsroot, settings, "status")
    pairs = [line.split("=", 1) for line in output if "=" in line]
    facts = {key: value for key, value in pairs if key != "area"}
    areas: list[dict[str, Any]] = []
    for path, *numbers in (value.rsplit(" ", 3) for key, value in pairs if key == "area"):
        size, active, used = map(int, numbers)
        areas.append({"path": path, "sizeBytes": size, "activeBytes": active, "usedBytes": used})
    ready = facts.get("state") == "Ready" and any(area["activeBytes"] for area in areas)
    if arguments.output == "json":
        wanted = int(facts.pop("wantedBytes", 0))
        write_structured({"installed": installed, **facts, "wantedBytes": wanted, "areas": areas}, "json")
        return 0 if ready else 1
    if not installed:
        print("Overbook has made no swap on this node; `overbook node swap plan` shows what it would do")
    if "state" in facts:
        print(f"{facts['state']}: {facts.get('sentence', '')}")
    for area in areas:
        use = f"on, {shown(area['usedBytes'])} used" if area["activeBytes"] else "off"
        print(f"{area['path']}: {shown(area['sizeBytes'])}, {use}")
    if installed and settings.kind != "device":
        print(f"wanted: {shown(int(facts.get('wantedBytes', 0)))} ({facts.get('kind')})")
    if installed and settings.keep_on:
        print(f"kept on by {KEEP_UNIT}, which looks every minute")
    answers = {"tolerates": "accepts swap", "refuses": "does not start with swap on (failSwapOn)"}
    if facts.get("kubelet") in answers:
        print(f"the kubelet {answers[facts['kubelet']]}")
    return 0 if ready else 1


def _has_systemd(root: str) -> bool:
    return os.path.isdir(os.path.join(root, "run/systemd/system"))
