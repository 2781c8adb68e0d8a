"""The interface of a writer of swap limits, and what a writer is made from."""

import select
from typing import Literal, NamedTuple, Protocol

from overbook.agent.collector import HeldContainer
from overbook.core.overcommit.writer import WriterInputs
from overbook.nri.plugin import Allowance

Limits = tuple[int | None, int | None]
"""``memory.swap.max`` of a container and of crun's inner cgroup; ``None``: unlimited, or no inner cgroup."""
Unwritten = Literal["Observing", "Kubelet", "Others"]
"""Why a limit is not written: nothing is changed at all, the kubelet writes it, or another plugin does."""


class SwapWriter(Protocol):
    """Reads and writes ``memory.swap.max``."""

    def read(self, container: HeldContainer, outer_bytes: int | None, /) -> Limits | None:
        """The limits now, to be restored later; ``None``: the writer never changes them."""

    def given(self, container: HeldContainer, /) -> Limits | None:
        """The limits that the container would have without Overbook, if Overbook set them at its start."""

    def write(self, container: HeldContainer, limits: Limits, /) -> Unwritten | None:
        """Set the limits. Returns why they were not set; ``None``: they were."""


class WriterMeans(NamedTuple):
    """What a writer is made from.

    Attributes:
        fsroot: where the host's file system is.
        facts: what was found on the node.
        allowed: gives a container's allowance, for the runtime's questions.
        epoll: the agent's loop; ``None``: there is none, so the runtime cannot be connected.
    """

    fsroot: str
    facts: WriterInputs
    allowed: Allowance
    epoll: select.epoll | None
