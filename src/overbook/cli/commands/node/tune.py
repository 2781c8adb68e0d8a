"""``overbook node tune``: keep the system's services out of swap, and set the kernel's memory settings."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from overbook.node.tune.node import TunedNode

COMMANDS: Final = ("status", "plan", "apply", "remove")

EXAMPLES: Final = """examples:
  overbook node tune status                        show the settings, and the wanted ones
  overbook node tune plan                          show what `apply` would change
  overbook node tune apply                         change the settings, now and after every boot
  overbook node tune apply --overcommit off        make the kernel refuse allocations that are too large
  overbook node tune remove                        restore every setting

Exit status of status: 0 if every setting is as wanted, else 1. Of plan and apply: 1 if refused.
"""


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.node.command import add_fsroot_option

    parser = parts.add_parser(
        "tune",
        help="keep the system out of swap, and set the kernel's memory settings",
        description="Keep the system in RAM, and make the kernel swap before the kubelet evicts.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action", nargs="?", choices=COMMANDS, default="status", help="what to do (default: status)"
    )
    parser.add_argument(
        "--overcommit",
        choices=["on", "off"],
        help="vm.overcommit_memory 1 or 0 (default: as installed, or else on)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    add_fsroot_option(parser)
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="format (default: text)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action. Returns 1 if it is refused, or if a setting is not as wanted.

    Raises:
        InvalidInput: the kubelet's configuration, or the file of old values, is malformed.
        OSError, KernelFileError: a file cannot be read or written.
    """
    from overbook.node.tune import node as tuned_node
    from overbook.node.tune import steps as tuning_steps

    root, action = arguments.fsroot, arguments.action
    changes = action in {"apply", "remove"} and not arguments.dry_run
    with tuning_steps.tuning_lock(root) if changes else nullcontext():
        node = tuned_node.look(root, arguments.overcommit)
        if action in {"plan", "apply"} and node.refusal is not None:
            print(f"overbook: refused, nothing was changed: {node.refusal}", file=sys.stderr)
            return 1
        steps = []
        for step in _steps(node, action, changes=changes):
            steps.append(step)
            if arguments.output == "text":
                print(step, flush=True)
        if changes:
            node = tuned_node.look(root)
    _show(node, arguments, steps)
    return int(action == "status" and any(wish.differs for wish in node.wishes))


def _steps(node: "TunedNode", action: str, *, changes: bool) -> Iterator[str]:
    from overbook.node.tune import steps as tuning_steps

    if action == "remove":
        return tuning_steps.remove_tuning(node) if changes else tuning_steps.planned_removal(node)
    if action == "status":
        return iter(())
    return tuning_steps.apply(node) if changes else tuning_steps.planned(node)


def _show(node: "TunedNode", arguments: argparse.Namespace, steps: list[str]) -> None:
    from overbook.cli.output import columns, write_structured
    from overbook.node.tune.node import notes

    found_notes = () if arguments.action == "remove" else notes(node)
    wishes = () if arguments.action == "remove" else node.wishes
    if arguments.output == "json":
        shown = {
            "action": arguments.action,
            "overcommit": node.overcommit,
            "steps": steps,
            "settings": wishes,
            "notes": found_notes,
        }
        write_structured(shown, "json")
        return
    if arguments.action == "status":
        rows = [("SETTING", "NOW", "SHOULD BE", "WHY")]
        rows += [(wish.name, wish.present or "-", wish.wanted, wish.sentence) for wish in wishes]
        wished = {wish.name for wish in wishes}
        rows += [
            (name, value, "as it is", "it is right, and was not changed by Overbook")
            for name, value in node.facts.values.items()
            if name not in wished
        ]
        before = [(name, entry.before) for name, entry in node.remembered.items()]
        if before:
            rows = [*rows, ("", "", "", "")]
        print("\n".join(columns(rows)))
        if before:
            print("\n".join(columns([("CHANGED HERE", "BEFORE"), *before])))
    elif not steps:
        print("nothing to do")
    print("".join(f"note: {note}\n" for note in found_notes), end="")
