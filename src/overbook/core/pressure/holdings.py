"""Holdings: the memory of a container, pod, QoS class or node in RAM and in swap, each page counted once.

A page that was read back from swap, or is on its way there, is in the swap cache: it has its place in swap
and is in RAM as well. The kernel charges it to ``memory.current`` and to ``memory.swap.current`` (kernel
Documentation/admin-guide/cgroup-v2.rst, ``swapcached``: "accounted against both memory and swap usage"). The
node's MemAvailable and SwapFree count it twice in the same way; SwapCached has its size.
"""


def holdings_bytes(memory_bytes: int, swap_bytes: int, swap_cached_bytes: int) -> int:
    """Return memory and swap together, without what is in both.

    The three numbers are read one after the other, while pages move: the swap cache counts at most as much
    as either of the others.

    Args:
        memory_bytes: memory in RAM, swap cache included.
        swap_bytes: swap in use, swap cache included.
        swap_cached_bytes: the swap cache; 0 where the kernel does not tell.
    """
    return memory_bytes + swap_bytes - min(swap_cached_bytes, memory_bytes, swap_bytes)
