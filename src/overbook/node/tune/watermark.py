"""The kernel's watermarks, compared with the kubelet's eviction threshold.

The kernel wakes kswapd when a zone's free memory falls below its low watermark. If that is below the
kubelet's eviction threshold, pods are evicted before the kernel has begun to swap. The distance between the
watermarks is ``vm.watermark_scale_factor``, in 1/10000 of a zone's memory. Source: kernel Documentation,
admin-guide/sysctl/vm (watermark_scale_factor, min_free_kbytes); kubernetes issue 120800.
"""

from typing import Final

import msgspec

MIB: Final = 1 << 20
LEAST_RUNWAY_BYTES: Final = 256 * MIB
SMALLEST_FACTOR: Final = 10
"""The kernel's own default."""
LARGEST_FACTOR: Final = 1000
ROUNDING_BYTES: Final = 2 * MIB
"""Added to the wanted value, because the kernel rounds down to pages in each zone."""


class Watermarks(msgspec.Struct, frozen=True, gc=False):
    """The watermarks, summed over all zones, in bytes.

    Attributes:
        min_bytes: below it only the kernel itself gets memory.
        low_bytes: below it kswapd works.
        managed_bytes: the size of the zones.
    """

    min_bytes: int
    low_bytes: int
    managed_bytes: int


def wanted_low_bytes(eviction_bytes: int, memory_bytes: int) -> int:
    """The wanted low watermark: the eviction threshold plus a distance, in which swapping can help."""
    return eviction_bytes + min(max(LEAST_RUNWAY_BYTES, memory_bytes // 100), memory_bytes // 20)


def highest_low_bytes(marks: Watermarks) -> int:
    """The low watermark with the largest factor: the kernel begins to swap no earlier."""
    return max(marks.low_bytes, marks.min_bytes + marks.managed_bytes * LARGEST_FACTOR // 10_000)


def scale_factor(marks: Watermarks, eviction_bytes: int) -> int | None:
    """The ``vm.watermark_scale_factor`` for the wanted low watermark; ``None`` if that is already reached."""
    wanted = wanted_low_bytes(eviction_bytes, marks.managed_bytes)
    if marks.low_bytes >= wanted or marks.managed_bytes <= 0:
        return None
    factor = -(-(wanted + ROUNDING_BYTES - marks.min_bytes) * 10_000 // marks.managed_bytes)
    return min(LARGEST_FACTOR, max(SMALLEST_FACTOR, factor))
