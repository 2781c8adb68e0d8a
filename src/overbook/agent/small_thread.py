"""A thread that takes little memory."""

import threading
from typing import Final

STACK_BYTES: Final = 512 << 10
"""All of the agent's memory is locked: 8 MiB of stack are not for work that is a few calls deep."""


class SmallThread(threading.Thread):
    """A thread with a stack of :data:`STACK_BYTES`."""

    def start(self) -> None:
        """Start it.

        Raises:
            RuntimeError: there is no room for a thread.
        """
        before = threading.stack_size(STACK_BYTES)
        try:
            super().start()
        finally:
            threading.stack_size(before)
