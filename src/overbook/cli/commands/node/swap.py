"""``overbook node swap``: install the swap program with its settings, and run it."""

import argparse
import os
import sys
import tempfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from overbook.node.swap import SwapSettings

COMMANDS: Final = ("status", "plan", "apply", "remove")
FIXED: Final = ("kind", "folder", "device", "encrypt")
"""Settings that cannot change while there is swap with other values of them."""
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

EXAMPLES: Final = """examples:
  overbook node swap plan --percent 150            show what `apply` would do
  overbook node swap apply --percent 150           make a swap file of half the RAM, kept over reboots
  overbook node swap apply --kind device --device PARTLABEL=swap --encrypt
  overbook node swap status --output json
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
    add("--kind", choices=["file", "device", "zram"], help="kind of swap (default: file)")
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
    from overbook.node.swap import SwapSettings, read_settings

    root = arguments.fsroot
    installed = read_settings(root)
    settings = _settings(arguments, installed)
    changed = [name for name in FIXED if installed and getattr(settings, name) != getattr(installed, name)]
    if arguments.action == "status":
        return _status(arguments, installed or settings)
    if arguments.action == "remove":
        return _plan(arguments, installed or SwapSettings(), "remove") if _dry(arguments) else _remove(root)
    if changed:
        print(
            f"overbook: this node has swap with another {' and '.join(changed)}, which may be in use: run "
            "`overbook node swap remove` first",
            file=sys.stderr,
        )
        return 1
    return _plan(arguments, settings) if _dry(arguments) else _apply(arguments, settings)


def _dry(arguments: argparse.Namespace) -> bool:
    return arguments.action == "plan" or getattr(arguments, "dry_run", False)


def _settings(arguments: argparse.Namespace, installed: "SwapSettings | None") -> "SwapSettings":
    """The settings: those in force on the host, changed by its kubelet's present ones and the options."""
    import msgspec

    from overbook.cli.units import size_bytes
    from overbook.node.swap import SwapSettings

    given: dict[str, Any] = _kubelet_settings(arguments.fsroot, first=installed is None)
    options = vars(arguments)
    given |= {name: value for name, value in options.items() if name in SwapSettings.__struct_fields__}
    for option, field in (("size", "size_bytes"), ("disk_floor", "disk_floor_bytes")):
        if option in options:
            given[field] = size_bytes(options[option], f"--{option.replace('_', '-')}")
    if "percent" in options and "size" not in options:
        given["size_bytes"] = 0
    settings = msgspec.structs.replace(installed or SwapSettings(), **given)
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


def _apply(arguments: argparse.Namespace, settings: "SwapSettings") -> int:
    from overbook.node.files import install
    from overbook.node.host_program import run_on_host
    from overbook.node.kubelet import kubelet_unit
    from overbook.node.swap import MAKE_UNIT, ON_UNIT, PROGRAM, host_files

    root = arguments.fsroot
    for path in install(host_files(settings, kubelet_unit(root)), root):
        print(f"wrote /{path}", flush=True)
    status = run_on_host([f"/{PROGRAM}", "apply"], root, shown=True).returncode
    if not getattr(arguments, "no_units", False) and _has_systemd(root):
        for command in (["daemon-reload"], ["enable", ON_UNIT, MAKE_UNIT]):
            done = run_on_host(["systemctl", *command], root)
            if done.returncode:
                print(f"overbook: systemctl {' '.join(command)}: {done.stdout.strip()}", file=sys.stderr)
                return 1
        print(f"enabled {ON_UNIT} and {MAKE_UNIT}: swap is turned on after every boot")
    return 1 if status else 0


def _remove(root: str) -> int:
    """Turn swap off, which needs the program and its settings, and then remove the files."""
    from overbook.node.files import remove
    from overbook.node.host_program import run_on_host
    from overbook.node.swap import MAKE_UNIT, ON_UNIT, PATHS, PROGRAM

    systemd = _has_systemd(root)
    if os.path.exists(os.path.join(root, PROGRAM)):
        if systemd:  # this unit would make the swap again
            run_on_host(["systemctl", "stop", MAKE_UNIT], root)
        if run_on_host([f"/{PROGRAM}", "remove"], root, shown=True).returncode:
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


def _plan(arguments: argparse.Namespace, settings: "SwapSettings", *command: str) -> int:
    from overbook.cli.output import write_structured

    status, output = _uninstalled(arguments.fsroot, settings, "plan", *command)
    prefix = "overbook-swap: "
    refused = [line.removeprefix(prefix) for line in output if line.startswith(prefix)]
    steps = [line for line in output if not line.startswith(prefix)]
    if arguments.output == "json":
        write_structured({"steps": steps, "refused": " ".join(refused) if status else None}, "json")
        return status
    for line in steps:
        print(line)
    if status:
        print(f"refused: {' '.join(refused)}")
    return status


def _status(arguments: argparse.Namespace, settings: "SwapSettings") -> int:
    from overbook.cli.output import write_structured
    from overbook.core.text import shown
    from overbook.node.swap import PROGRAM

    installed = os.path.exists(os.path.join(arguments.fsroot, PROGRAM))
    _, output = _uninstalled(arguments.fsroot, settings, "status")
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
    answers = {"tolerates": "accepts swap", "refuses": "does not start with swap on (failSwapOn)"}
    if facts.get("kubelet") in answers:
        print(f"the kubelet {answers[facts['kubelet']]}")
    return 0 if ready else 1


def _has_systemd(root: str) -> bool:
    return os.path.isdir(os.path.join(root, "run/systemd/system"))


def _uninstalled(root: str, settings: "SwapSettings", *command: str) -> tuple[int, list[str]]:
    """Run the swap program with these settings, without installing it. Returns exit status and lines."""
    from overbook.node.host_program import run_on_host
    from overbook.node.swap import program_file, settings_file

    with tempfile.TemporaryDirectory(prefix="overbook-", dir=os.path.join(root, "run")) as folder:
        below = "/" + os.path.relpath(folder, root)
        with open(os.path.join(folder, "swap"), "wb") as file:
            file.write(program_file())
        with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as conf:
            conf.write(settings_file(settings))
        done = run_on_host(["sh", f"{below}/swap", *command], root, {"OVERBOOK_CONF": f"{below}/conf"})
    return (1 if done.returncode else 0), done.stdout.splitlines()
