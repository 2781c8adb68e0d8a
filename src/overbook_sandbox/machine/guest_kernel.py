"""How an emulated node's own kernel is set."""

import logging


def use_generations() -> None:
    """Turn on the multi-generational LRU: the emulator's TLB hides accesses from the classic one."""
    try:
        with open("/sys/kernel/mm/lru_gen/enabled", "w", encoding="ascii") as file:
            file.write("y")
    except OSError:
        logging.getLogger(__name__).warning("this kernel has no multi-generational LRU")
