"""The check of Overbook's OCI hook: whether the runtime reads it."""

from collections.abc import Iterator
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _hook(facts: HostState) -> Iterator[HostFinding]:
    if facts.hook_folder and facts.hook_folder not in facts.hook_folders_read:
        read = ", ".join(facts.hook_folders_read) or "none"
        yield HostFinding(
            "Broken",
            "HookNotRead",
            f"Overbook's OCI hook is in {facts.hook_folder}, which "
            f"the runtime does not read (it reads {read})",
            "overbook node hook install",
        )


def _hook_fine(facts: HostState) -> str:
    return f"installed in {facts.hook_folder}, which the runtime reads" if facts.hook_folder else ""


CHECK: Final = Check("hook", _hook, _hook_fine)
