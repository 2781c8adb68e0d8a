"""Which program writes swap limits: the writers that a node can have, and settings that exclude others."""

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import KubeletSwap
from overbook.core.overcommit.allowance import Allowance, Eligibility

Writer = Literal[
    "reconcile",
    "nri",
    "hook",
    "kubelet",
]
WRITERS: Final[tuple[Writer, ...]] = get_args(Writer)
HOOK_FILE: Final = "overbook-swap.json"
"""The name of the OCI hook's file in a folder of hooks."""
AskedWriter = Literal["auto", Writer]
"""The values of the setting ``swapWriter``."""


class WriterInputs(msgspec.Struct, frozen=True, gc=False):
    """The facts of a node that decide which writers can be used.

    Attributes:
        kubelet: what the kubelet does about swap; ``None``: not known.
        kubelet_limits: whether the kubelet can see ``memory.swap.max`` in its own cgroup; without that it
            silently writes no limit. ``None``: not known.
        nri_socket: the runtime's NRI socket; empty: it has none.
        hook_folder: the folder in which the runtime looks for OCI hooks; empty: there is none.
    """

    kubelet: KubeletSwap | None = None
    kubelet_limits: bool | None = None
    nri_socket: str = ""
    hook_folder: str = ""


class EarlyWriter(NamedTuple):
    """A writer that sets a container's limit before the container starts.

    Attributes:
        writer: the writer's name.
        why: gives the sentence why the writer can be used on a node; empty: it cannot.
        needs: what a node needs for the writer, and what to use without that.
    """

    writer: Writer
    why: Callable[[WriterInputs], str]
    needs: str


EARLY: Final = (
    EarlyWriter(
        "nri",
        lambda facts: (
            f"the runtime asks on {facts.nri_socket} before a container starts" if facts.nri_socket else ""
        ),
        "a runtime with NRI (containerd 2.0, CRI-O 1.30 or newer); use auto",
    ),
    EarlyWriter(
        "hook",
        lambda facts: f"the runtime reads OCI hooks in {facts.hook_folder}" if facts.hook_folder else "",
        "a runtime that reads OCI hooks (CRI-O, Podman); use auto",
    ),
)
"""``auto`` takes the first that can be used; where none can, the agent writes limits at each tick."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The chosen writer, and why.

    Attributes:
        writer: the writer.
        sentence: why this writer was chosen.
        problem: why the configured writer cannot be used; empty where it can.
    """

    writer: Writer
    sentence: str
    problem: str = ""


def check_asked(asked: AskedWriter, eligibility: Eligibility, allowance: Allowance) -> None:
    """Refuse settings that exclude each other on any node.

    Raises:
        InvalidInput: the message says which setting to change.
    """
    if asked == "kubelet":
        _check_limited_swap("the kubelet as writer means LimitedSwap", eligibility, allowance)


def writer_in_force(
    asked: AskedWriter, facts: WriterInputs, eligibility: Eligibility, allowance: Allowance
) -> Choice:
    """The writer for a node, as :func:`choose_writer`, but with a choice for settings that are refused there.

    If the configured writer is not there, the agent writes limits at each tick. If the kubelet writes limits,
    or was configured to, no other writer is used: two writers would undo each other's limits.
    """
    try:
        return choose_writer(asked, facts, eligibility, allowance)
    except InvalidInput as error:
        if (
            asked in {early.writer for early in EARLY}
            and not _kubelet_writes(facts)
            and facts.kubelet != "Unknown"
        ):
            return Choice(
                "reconcile", "the configured writer is not there; limits come after the start", str(error)
            )
        return Choice("kubelet", "no limit is written until the settings fit each other", str(error))


def choose_writer(
    asked: AskedWriter, facts: WriterInputs, eligibility: Eligibility, allowance: Allowance
) -> Choice:
    """The writer for a node.

    The agent reconciles under ``nri`` and ``hook`` too; under ``kubelet`` it only checks.

    Raises:
        InvalidInput: settings exclude each other; the message says which to change.
    """
    if facts.kubelet == "Unknown":
        raise InvalidInput(
            "swapBehavior",
            "not known here",
            "memorySwap.swapBehavior: NoSwap or LimitedSwap in the kubelet's configuration: of another one "
            "it is not known which limits the kubelet writes, so Overbook writes none",
        )
    if _kubelet_writes(facts):
        return _with_limited_swap(asked, eligibility, allowance)
    if asked == "kubelet" and facts.kubelet is None:
        return Choice(asked, "configured; the kubelet's configuration is not known")
    if asked == "kubelet":
        raise InvalidInput(
            "--swap-writer",
            asked,
            "another writer, because this kubelet does not limit swap: set memorySwap.swapBehavior: "
            "LimitedSwap and let it run in a cgroup of its own, or use --swap-writer auto",
        )
    for early in EARLY:
        why = early.why(facts)
        if asked == early.writer and not why:
            raise InvalidInput("--swap-writer", asked, early.needs)
        if asked == "auto" and why:
            return Choice(early.writer, why)
    if asked != "auto":
        return Choice(asked, "configured")
    return Choice("reconcile", "the runtime has neither NRI nor hooks: limits come a tick after the start")


def _kubelet_writes(facts: WriterInputs) -> bool:
    return facts.kubelet == "LimitedSwap" and facts.kubelet_limits is not False


def _with_limited_swap(asked: AskedWriter, eligibility: Eligibility, allowance: Allowance) -> Choice:
    if asked not in {"auto", "kubelet"}:
        raise InvalidInput(
            "--swap-writer",
            asked,
            "kubelet or auto, because this kubelet runs with LimitedSwap and writes limits of its own: "
            "set memorySwap.swapBehavior: NoSwap in its configuration to use another writer",
        )
    _check_limited_swap("this kubelet runs with LimitedSwap", eligibility, allowance)
    return Choice("kubelet", "the kubelet runs with LimitedSwap: it writes the limits, the agent checks them")


def _check_limited_swap(why: str, eligibility: Eligibility, allowance: Allowance) -> None:
    if eligibility != "Burstable":
        raise InvalidInput(
            "eligibility",
            eligibility,
            f"Burstable, because {why}, which gives swap to every Burstable pod: "
            "set memorySwap.swapBehavior: NoSwap in its configuration to give it to VMs only",
        )
    if allowance != "proportional":
        raise InvalidInput(
            "allowance",
            allowance,
            f"proportional, because {why}, which has its own formula: set "
            "memorySwap.swapBehavior: NoSwap in its configuration to use another",
        )
