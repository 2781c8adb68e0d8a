"""Settings of an emulated node's kernel."""

import logging


def use_generations() -> None:
    """Turn on the multi-generational LRU, because the emulator's TLB hides accesses from the classic LRU."""
    try:
        with open("/sys/kernel/mm/lru_gen/enabled", "w", encoding="ascii") as file:
            file.write("y")
    except OSError:
        logging.getLogger(__name__).warning("this kernel has no multi-generational LRU")
