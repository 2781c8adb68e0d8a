"""The policy by which cold memory is swapped out while work stalls."""

import msgspec

from overbook.core.errors import InvalidInput


class ReclaimPolicy(
    msgspec.Struct, frozen=True, kw_only=True, gc=False, rename="camel", forbid_unknown_fields=True
):
    """How cold memory is swapped out while work stalls.

    Attributes:
        enabled: whether the agent swaps out cold memory at all.
        node_percent: how much of the node's RAM is swapped out in one tick at most.
        swap_room_percent: how much of the swap must be free; with less, nothing is swapped out.
        patience_seconds: how long work may stall before the first candidate is evicted, if it holds more
            than its covered memory.
        promise_patience_seconds: the same if it is within its covered memory. The kernel needs seconds to
            tell hot memory from cold.
    """

    enabled: bool = True
    node_percent: float = 1.0
    swap_room_percent: float = 10.0
    patience_seconds: float = 2.0
    promise_patience_seconds: float = 15.0

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidInput: a percentage or a patience out of range.
        """
        for field, percent in (
            ("nodePercent", self.node_percent),
            ("swapRoomPercent", self.swap_room_percent),
        ):
            if not 0 <= percent <= 100:
                raise InvalidInput(f"reclaim.{field}", percent, "a number from 0 to 100")
        for field, seconds in (
            ("patienceSeconds", self.patience_seconds),
            ("promisePatienceSeconds", self.promise_patience_seconds),
        ):
            if not 0 <= seconds <= 3600:
                raise InvalidInput(f"reclaim.{field}", seconds, "0 to 3600 seconds")
