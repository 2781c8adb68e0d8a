"""``overbook node hook``: install the OCI hook where this node's container engine reads it, or remove it."""

import argparse
import os
from typing import Any, Final

COMMANDS: Final = ("status", "install", "remove")

EXAMPLES: Final = """examples:
  overbook node hook status                        show the engine's folders, the hook's files and problems
  overbook node hook install                       for the pods of KubeVirt's virtual machines
  overbook node hook install --eligibility Burstable
  overbook node hook install --folder /run/containers/oci/hooks.d
  overbook node hook remove --dry-run

The agent need not run: `remove` works without it, and so does an installed hook.
"""


def add_parser(parts: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    from overbook.cli.commands.node.command import add_fsroot_option
    from overbook.cli.options import add_eligibility_option

    parser = parts.add_parser(
        "hook",
        help="limit swap before a container's first instruction (CRI-O, Podman)",
        description="Install or remove the OCI hook, which sets a new container's swap limit before it runs.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=list(COMMANDS), help="what to do")
    parser.add_argument(
        "--folder", metavar="DIR", help="folder for the hook (default: one that the engine reads)"
    )
    add_eligibility_option(parser, None)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument("--output", choices=["text", "json"], default="text", help="format (default: text)")
    add_fsroot_option(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry out the action. Returns 1 if it is refused, or if the installed hook cannot work.

    Raises:
        InvalidInput: the engine's configuration is malformed, or the folder is no absolute path.
        OSError: a file cannot be read, written or deleted.
    """
    from overbook.core.errors import InvalidInput
    from overbook.node.hook_folders import crio_hook_folders, hook_folders

    root = arguments.fsroot
    try:
        read = crio_hook_folders(root) or hook_folders(root)
    except InvalidInput:
        if arguments.action != "remove":
            raise
        read = ()  # the usual folders are known without the configuration
    if arguments.action == "install":
        return _install(arguments, read)
    if arguments.action == "remove":
        return _remove(arguments, read)
    return _status(arguments, read)


def _install(arguments: argparse.Namespace, read: tuple[str, ...]) -> int:
    from overbook.core.errors import InvalidInput
    from overbook.node.files import differing, install, remove
    from overbook.node.hook import hook_files, hook_paths
    from overbook.node.hook_folders import preferred

    folder = arguments.folder or preferred(read)
    if not folder:
        raise InvalidInput(
            "--folder",
            arguments.folder,
            "a folder for hooks, because neither CRI-O nor Podman was found here; containerd reads no hooks, "
            "but gets the limits through NRI",
        )
    root = arguments.fsroot
    files = hook_files(folder, arguments.eligibility or "BurstableVirtualMachines")
    elsewhere = [path for path in hook_paths(_known(arguments, read)) if path not in files]
    if arguments.dry_run:
        written, removed = differing(files, root), _present(elsewhere, root)
    else:
        written, removed = install(files, root), remove(elsewhere, root)
    notes = [] if folder in read else [f"{folder} is not read: the engine reads {', '.join(read) or 'none'}"]
    _print(arguments, {"written": written, "removed": removed, "notes": [*notes, *_wasp_agent_notes(root)]})
    return 0


def _remove(arguments: argparse.Namespace, read: tuple[str, ...]) -> int:
    """Remove the configuration, then the program, so that no engine finds a configuration without it."""
    from overbook.agent.limits.allowance_file import PATH
    from overbook.node.files import remove
    from overbook.node.hook import hook_paths

    root = arguments.fsroot
    paths = (*hook_paths(_known(arguments, read)), PATH)
    removed = _present(paths, root) if arguments.dry_run else remove(paths, root)
    _print(arguments, {"removed": removed})
    return 0


def _status(arguments: argparse.Namespace, read: tuple[str, ...]) -> int:
    from overbook.agent.limits.allowance_file import PATH
    from overbook.core.overcommit.writer import HOOK_FILE
    from overbook.node.files import differing
    from overbook.node.hook import PROGRAM, found_eligibility, hook_files, installed_in

    root = arguments.fsroot
    found = installed_in(_known(arguments, read), root)
    problems = []
    if found and not set(found) & set(read):
        problems.append(
            f"{HOOK_FILE} is in {', '.join(found)}, which the engine does not read: "
            "overbook node hook install fixes it"
        )
    wanted = arguments.eligibility or found_eligibility(found, root)
    for folder in found:
        for path in differing(hook_files(folder, wanted or "BurstableVirtualMachines"), root):
            what = "differs from this version's" if _present((path,), root) else "is missing"
            problems.append(f"/{path} {what}: overbook node hook install fixes it")
    shown = {
        "read": list(read),
        "installed": list(found),
        "eligibility": found_eligibility(found, root),
        "program": bool(_present((PROGRAM,), root)),
        "allowances": _lines(os.path.join(root, PATH)),
        "problems": list(dict.fromkeys(problems)),
        "notes": _wasp_agent_notes(root),
    }
    _print(arguments, shown)
    return 1 if problems else 0


def _known(arguments: argparse.Namespace, read: tuple[str, ...]) -> tuple[str, ...]:
    """Every folder that may contain the hook: those that are read, the usual ones, and the given one."""
    from overbook.node.hook_folders import ADMINISTRATORS, SHARED, UNTIL_BOOT

    named = (arguments.folder,) if arguments.folder else ()
    return tuple(dict.fromkeys((*read, SHARED, ADMINISTRATORS, UNTIL_BOOT, *named)))


def _present(paths: Any, root: str) -> list[str]:
    return [path for path in paths if os.path.lexists(os.path.join(root, path))]


def _wasp_agent_notes(root: str) -> list[str]:
    from overbook.node.doctor.diagnosis import WASP_AGENT_LEFTOVERS

    found = _present(WASP_AGENT_LEFTOVERS, root)
    if not found:
        return []
    names = " ".join(f"/{path}" for path in found)
    return [f"wasp-agent's hook gives every Burstable container all swap: rm {names}"]


def _lines(path: str) -> int | None:
    """The number of containers in the allowance file; ``None`` if there is no file, or an incomplete one."""
    from overbook.agent.limits.allowance_file import LAST_LINE, MOST_BYTES

    try:
        with open(path, "rb") as file:
            lines = file.read(MOST_BYTES).splitlines()
    except FileNotFoundError:
        return None
    return len(lines) - 1 if lines and lines[-1] == LAST_LINE.encode() else None


def _print(arguments: argparse.Namespace, shown: dict[str, Any]) -> None:
    if arguments.output == "json":
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(shown)).decode())
        return
    would = "would be " if arguments.dry_run else ""
    if "read" in shown:
        print(f"read by the engine: {', '.join(shown['read']) or 'nothing: no CRI-O and no Podman here'}")
        eligibility = f" (eligibility {shown['eligibility']})" if shown["eligibility"] else ""
        print(f"installed in:       {', '.join(shown['installed']) or 'nowhere'}{eligibility}")
        known = shown["allowances"]
        print(f"allowances:         {'no file' if known is None else f'{known} containers'}")
    for word in ("written", "removed"):
        for path in shown.get(word, ()):
            print(f"{would}{word}: /{path}")
    if "removed" in shown and not shown["removed"] and not shown.get("written"):
        print("nothing to do")
    for line in (*shown.get("problems", ()), *shown.get("notes", ())):
        print(line)
