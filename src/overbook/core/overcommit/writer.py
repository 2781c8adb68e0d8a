"""Who writes a container's swap limit: which writers fit this node, and which settings exclude each other."""

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
"""By which the OCI hook is known in a folder of hooks."""
AskedWriter = Literal["auto", Writer]
"""What a node's owner may ask for."""


class WriterInputs(msgspec.Struct, frozen=True, gc=False):
    """What is there on a node.

    Attributes:
        kubelet: what its kubelet does about swap; ``None``: not known.
        kubelet_limits: whether the kubelet can see ``memory.swap.max`` in its own cgroup. One that cannot
            writes no limit at all, silently; ``None``: not known.
        nri_socket: the runtime's socket; empty: it has none.
        hook_folder: a folder in which the runtime looks for OCI hooks; empty: there is none.
    """

    kubelet: KubeletSwap | None = None
    kubelet_limits: bool | None = None
    nri_socket: str = ""
    hook_folder: str = ""


class EarlyWriter(NamedTuple):
    """A writer that knows a container before it starts, where the node has what it needs.

    Attributes:
        writer: its name.
        why: why it can be used on a node, for people; empty: it cannot.
        needs: what a node needs for it, and what to use without that.
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
"""``auto`` takes the first that can be used; where none can, the agent's own rounds have to do."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The writer, and why.

    Attributes:
        writer: it.
        sentence: why, for people.
        problem: why what was asked for cannot be; empty where it can.
    """

    writer: Writer
    sentence: str
    problem: str = ""


def check_asked(asked: AskedWriter, eligibility: Eligibility, allowance: Allowance) -> None:
    """Refuse settings that exclude each other on any node.

    Raises:
        InvalidInput: the sentence says which to change.
    """
    if asked == "kubelet":
        _check_limited_swap("the kubelet as writer means LimitedSwap", eligibility, allowance)


def writer_in_force(
    asked: AskedWriter, facts: WriterInputs, eligibility: Eligibility, allowance: Allowance
) -> Choice:
    """As :func:`choose_writer`, but a node is protected whatever its settings are.

    Where a writer that was asked for is not there, the agent's own rounds have to do. Where the kubelet
    writes, or was meant to, nothing else does: two writers would undo each other's limits.
    """
    try:
        return choose_writer(asked, facts, eligibility, allowance)
    except InvalidInput as error:
        if asked in {early.writer for early in EARLY} and not _kubelet_writes(facts):
            return Choice(
                "reconcile", "what was asked for is not there; limits come after the start", str(error)
            )
        return Choice("kubelet", "nothing is written until the settings fit each other", str(error))


def choose_writer(
    asked: AskedWriter, facts: WriterInputs, eligibility: Eligibility, allowance: Allowance
) -> Choice:
    """The writer for a node.

    The agent reconciles under ``nri`` and ``hook`` too; under ``kubelet`` it only checks.

    Raises:
        InvalidInput: settings exclude each other; the sentence says which to change.
    """
    if _kubelet_writes(facts):
        return _with_limited_swap(asked, eligibility, allowance)
    if asked == "kubelet" and facts.kubelet is None:
        return Choice(asked, "asked for; the kubelet's configuration is not known")
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
        return Choice(asked, "asked for")
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
