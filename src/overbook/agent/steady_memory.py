"""The node's RAM as limits are computed from it: it follows what lasts, not what moves all the time.

MemTotal of a virtual machine with a balloon moves by a few MiB in each second, and every limit of a container
is a share of it. Memory that is plugged in or out comes in blocks of 128 MiB (kernel
Documentation/admin-guide/mm/memory-hotplug.rst), and is followed at once.
"""

from typing import Final

MIB: Final = 1 << 20
JUMP_BYTES: Final = 64 * MIB
"""A change of so much between two ticks is no balloon's: it is followed at once."""
SMALL_BYTES: Final = 16 * MIB
STEADY_BYTES: Final = 4 * MIB
STEADY_SECONDS: Final = 10.0
"""A size that is :data:`SMALL_BYTES` away is followed after it stayed so long within :data:`STEADY_BYTES`."""
SETTLED_SECONDS: Final = 60.0
"""The same for a size that differs by less."""
FAR_SHARE: Final = 0.1
FAR_BYTES: Final = 256 * MIB
"""A size that moved away by so much is followed while it still moves."""


class SteadyMemory:
    """Follows the node's RAM."""

    def __init__(self) -> None:
        self._held: int | None = None
        self._last = 0
        self._anchor = 0
        self._since = 0.0

    def follow(self, total_bytes: int, now: float) -> int:
        """Return the RAM to compute with.

        Args:
            total_bytes: MemTotal now.
            now: monotonic seconds.
        """
        held, last, self._last = self._held, self._last, total_bytes
        if held is None:
            return self._take(total_bytes, now)
        if abs(total_bytes - self._anchor) > STEADY_BYTES or now < self._since:
            self._anchor, self._since = total_bytes, now
        away, steady = abs(total_bytes - held), now - self._since
        jumped = abs(total_bytes - last) >= JUMP_BYTES and away >= JUMP_BYTES
        far = away >= max(FAR_BYTES, held * FAR_SHARE)
        lasts = away > SMALL_BYTES and steady >= STEADY_SECONDS
        settled = away > 0 and steady >= SETTLED_SECONDS and total_bytes == last
        return self._take(total_bytes, now) if jumped or far or lasts or settled else held

    def _take(self, total_bytes: int, now: float) -> int:
        self._held = self._anchor = total_bytes
        self._since = now
        return total_bytes
