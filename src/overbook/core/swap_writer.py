"""Who writes a container's swap limit: which writers fit this node, and which settings exclude each other."""

from typing import Final, Literal

import msgspec

from overbook.core.allowance import Allowance, Eligibility
from overbook.core.errors import InvalidInput
from overbook.core.kubelet_configuration import KubeletSwap

Writer = Literal["reconcile", "nri", "hook", "kubelet"]
WRITERS: Final[tuple[Writer, ...]] = ("reconcile", "nri", "hook", "kubelet")


class WriterFacts(msgspec.Struct, frozen=True, gc=False):
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


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The writer, and why."""

    writer: Writer
    sentence: str


def choose_writer(
    asked: Writer | Literal["auto"], facts: WriterFacts, eligibility: Eligibility, allowance: Allowance
) -> Choice:
    """The writer for a node.

    The agent reconciles under ``nri`` and ``hook`` too; under ``kubelet`` it only checks.

    Raises:
        InvalidInput: settings exclude each other; the sentence says which to change.
    """
    if facts.kubelet == "LimitedSwap" and facts.kubelet_limits is not False:
        return _with_limited_swap(asked, eligibility, allowance)
    if asked == "kubelet":
        raise InvalidInput(
            "--swap-writer",
            asked,
            "another writer, because this kubelet does not limit swap: set memorySwap.swapBehavior: "
            "LimitedSwap and let it run in a cgroup of its own, or use --swap-writer auto",
        )
    if asked == "nri" and not facts.nri_socket:
        raise InvalidInput(
            "--swap-writer", asked, "a runtime with NRI (containerd 2.0, CRI-O 1.30 or newer); use auto"
        )
    if asked == "hook" and not facts.hook_folder:
        raise InvalidInput("--swap-writer", asked, "a runtime that reads OCI hooks (CRI-O, Podman); use auto")
    if asked != "auto":
        return Choice(asked, "asked for")
    if facts.nri_socket:
        return Choice("nri", f"the runtime asks on {facts.nri_socket} before a container starts")
    if facts.hook_folder:
        return Choice("hook", f"the runtime reads OCI hooks in {facts.hook_folder}")
    return Choice("reconcile", "the runtime has neither NRI nor hooks: limits come a tick after the start")


def _with_limited_swap(
    asked: Writer | Literal["auto"], eligibility: Eligibility, allowance: Allowance
) -> Choice:
    if asked not in {"auto", "kubelet"}:
        raise InvalidInput(
            "--swap-writer",
            asked,
            "kubelet or auto, because this kubelet runs with LimitedSwap and writes limits of its own: "
            "set memorySwap.swapBehavior: NoSwap in its configuration to use another writer",
        )
    if eligibility != "Burstable":
        raise InvalidInput(
            "eligibility",
            eligibility,
            "Burstable, because this kubelet runs with LimitedSwap, which gives swap to every Burstable pod: "
            "set memorySwap.swapBehavior: NoSwap in its configuration to give it to VMs only",
        )
    if allowance != "proportional":
        raise InvalidInput(
            "allowance",
            allowance,
            "proportional, because this kubelet runs with LimitedSwap, which has its own formula: set "
            "memorySwap.swapBehavior: NoSwap in its configuration to use another",
        )
    return Choice("kubelet", "the kubelet runs with LimitedSwap: it writes the limits, the agent checks them")
