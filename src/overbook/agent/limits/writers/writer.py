"""What a writer of swap limits is, and what it may need."""

import select
from typing import NamedTuple, Protocol

from overbook.agent.collector import HeldContainer
from overbook.core.overcommit.writer import WriterInputs
from overbook.nri.plugin import Allowance

Limits = tuple[int | None, int | None]
"""``memory.swap.max`` of a container and of crun's inner cgroup; ``None``: unlimited, or no inner one."""


class SwapWriter(Protocol):
    """Reads and writes ``memory.swap.max``."""

    def read(self, container: HeldContainer, outer_bytes: int | None) -> Limits | None:
        """What is there and would have to be put back; ``None``: nothing will ever be changed."""

    def given(self, container: HeldContainer) -> Limits | None:
        """What a container would have that started with its limit by our doing; ``None``: another."""

    def write(self, container: HeldContainer, limits: Limits) -> bool:
        """Set it; whether it was set."""

    def unwritten(self, now: str) -> str:
        """Of a limit that is not written: what comes before the one that it should be."""


class WriterMeans(NamedTuple):
    """What a writer is made from.

    Attributes:
        fsroot: where the host's file system is.
        facts: what is there on the node.
        allowed: what a container may swap, for the runtime's questions.
        epoll: the agent's loop; ``None``: there is none, so nobody can be heard.
    """

    fsroot: str
    facts: WriterInputs
    allowed: Allowance
    epoll: select.epoll | None
