"""A thread that takes little memory."""

import threading
from typing import Final

STACK_BYTES: Final = 512 << 10
"""Small, because all of the agent's memory is locked, and these threads are only a few calls deep."""


class SmallThread(threading.Thread):
    """A thread with a stack of :data:`STACK_BYTES`."""

    def start(self) -> None:
        """Start the thread.

        Raises:
            RuntimeError: no thread can be started.
        """
        before = threading.stack_size(STACK_BYTES)
        try:
            super().start()
        finally:
            threading.stack_size(before)
