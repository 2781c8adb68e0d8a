"""``overbook node swap`` with the kind ``existing``: swap that others make is judged, and none is made."""

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from overbook.kernel.swaps import SwapArea
    from overbook.node.swap import SwapSettings


def apply_existing(arguments: argparse.Namespace, settings: "SwapSettings", *, is_made: bool) -> int:
    """Store that swap is left to others, and judge what is there. Returns 1 if it does not suffice.

    Args:
        arguments: the command's.
        settings: the settings to store.
        is_made: whether Overbook has made swap on this node.

    Raises:
        OSError: a file cannot be written.
    """
    from overbook.node.files import install
    from overbook.node.swap import RUN_SETTINGS, SETTINGS, STATE, is_read_only, settings_file

    if is_made:
        print(
            "overbook: this node has swap that Overbook made, so it is not left to others: run "
            "`overbook node swap remove` first",
            file=sys.stderr,
        )
        return 1
    root = arguments.fsroot
    word, sentence, areas, _ = _judged(root, settings)
    if arguments.action == "plan" or getattr(arguments, "dry_run", False):
        return _show(arguments, word, sentence, areas)
    conf = RUN_SETTINGS if is_read_only(root, SETTINGS) else SETTINGS
    files = {
        conf: (settings_file(settings).encode(), 0o644),
        STATE: (f"state={word}\nsentence={sentence}\n".encode(), 0o600),
    }
    for path in install(files, root):
        print(f"wrote /{path}")
    return _show(arguments, word, sentence, areas)


def remove_existing(root: str) -> int:
    """Remove the stored settings and the state; no swap is switched off.

    Raises:
        OSError: a file cannot be deleted.
    """
    from overbook.node.files import remove
    from overbook.node.swap import RUN_SETTINGS, SETTINGS, STATE

    for path in remove((SETTINGS, RUN_SETTINGS, STATE), root):
        print(f"removed /{path}")
    print("swap that others make was left as it is")
    return 0


def show_existing(arguments: argparse.Namespace, settings: "SwapSettings", *, stored: bool) -> int:
    """Show and judge the swap that is there now. Returns 1 if it does not suffice.

    Args:
        arguments: the command's.
        settings: how much swap is wanted.
        stored: whether the settings are in force, or only given.
    """
    from overbook.cli.output import write_structured
    from overbook.node.swap_places import unwritable

    word, sentence, areas, need = _judged(arguments.fsroot, settings)
    if arguments.output == "json":
        found: list[dict[str, Any]] = [
            {
                "path": area.filename,
                "sizeBytes": area.size_bytes,
                "activeBytes": area.size_bytes,
                "usedBytes": area.used_bytes,
            }
            for area in areas
        ]
        kept = {"kind": "existing", "state": word, "sentence": sentence} if stored else {}
        write_structured({"installed": stored, **kept, "wantedBytes": need, "areas": found}, "json")
        return 0 if word == "Existing" else 1
    if not stored:
        print("Overbook has made no swap on this node")
        if why := unwritable(arguments.fsroot):
            print(why)
    return _show(arguments, word, sentence, areas)


def _judged(root: str, settings: "SwapSettings") -> tuple[str, str, "tuple[SwapArea, ...]", int]:
    """The state's word and sentence, the areas, and the bytes that are needed."""
    from overbook.core.text import shown
    from overbook.node.swap_places import existing

    areas, need, enough = existing(root, settings)
    there = sum(area.size_bytes for area in areas)
    what = "the size" if settings.size_bytes else f"{settings.percent} %"
    verdict = "suffice" if enough else "do not suffice"
    sentence = f"{shown(there)} of swap {verdict}: {what} needs {shown(need)}"
    return ("Existing" if enough else "ExistingTooSmall"), sentence, areas, need


def _show(arguments: argparse.Namespace, word: str, sentence: str, areas: "tuple[SwapArea, ...]") -> int:
    from overbook.cli.output import write_structured
    from overbook.core.text import shown
    from overbook.node.swap_places import described

    root = arguments.fsroot
    lines = [
        f"{described(area, root)}: {shown(area.size_bytes)}, {shown(area.used_bytes)} used" for area in areas
    ]
    if arguments.action == "plan" and arguments.output == "json":
        write_structured({"steps": [], "refused": None, "notes": [*lines, sentence]}, "json")
    else:
        print("\n".join([*lines, sentence]))
    return 0 if word == "Existing" or arguments.action == "plan" else 1
