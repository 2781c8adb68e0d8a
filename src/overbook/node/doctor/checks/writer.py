"""The check of the writer of swap limits, and of settings that exclude each other."""

from collections.abc import Iterator
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet_refusals import no_swap_fix
from overbook.core.overcommit.writer import Choice, WriterInputs, choose_writer
from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState


def _writer(facts: HostState) -> Iterator[HostFinding]:
    try:
        choice = writer_choice(facts)
    except InvalidInput as error:
        if error.where == "swapBehavior":
            return  # the check of the kubelet says it
        if error.where == "eligibility":
            yield HostFinding(
                "Broken",
                "KubeletGivesSwapToAll",
                "the kubelet runs with LimitedSwap, which gives swap to every Burstable pod, and eligibility "
                f"is {facts.eligibility}",
                f"{_no_swap(facts)} for the kubelet, or eligibility: Burstable",
            )
        else:
            sentence = f"settings exclude each other: {error.where} is {error.value}"
            yield HostFinding("Broken", "SettingsExclude", sentence, f"use {error.expected}")
        return
    late = choice.writer == "reconcile" and facts.writer_asked == "auto"
    if late and facts.hook_folders_read and not facts.hook_folder:
        yield HostFinding(
            "Note",
            "HookNotInstalled",
            f"the runtime reads OCI hooks in {facts.hook_folders_read[0]}: one there would set limits before "
            "a container's first instruction; now they are set after it",
            "overbook node hook install",
        )


def _no_swap(facts: HostState) -> str:
    return no_swap_fix(facts.kubelet, facts.kubelet_minor) if facts.kubelet else ""


def _writer_fine(facts: HostState) -> str:
    if facts.kubelet is not None and facts.kubelet.swap == "Unknown":
        return ""
    if facts.kernel is not None and not facts.kernel.limits_swap:
        return ""  # no writer can write where the kernel limits nothing
    choice = writer_choice(facts)
    return f"{choice.writer} writes the swap limits: {choice.sentence}"


def writer_choice(facts: HostState) -> Choice:
    """The writer of swap limits on this node, and why it is chosen.

    Raises:
        InvalidInput: settings exclude each other.
    """
    inputs = WriterInputs(
        kubelet=facts.kubelet.swap if facts.kubelet else None,
        kubelet_limits=facts.kubelet_limits,
        nri_socket=facts.nri_socket,
        hook_folder=facts.hook_folder if facts.hook_folder in facts.hook_folders_read else "",
    )
    return choose_writer(facts.writer_asked, inputs, facts.eligibility, facts.allowance)


CHECK: Final = Check("writer", _writer, _writer_fine)
