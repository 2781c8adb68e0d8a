"""What the swap program left in its state file: how the last attempt ended."""

import os
from typing import Final

PATH: Final = "run/overbook/swap.state"
_MOST_BYTES: Final = 4096


def read_state(root: str) -> tuple[str, str] | None:
    """Word and sentence; ``None``: nothing was attempted since the boot.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(os.path.join(root, PATH), encoding="utf-8", errors="replace") as file:
            written = dict(line.partition("=")[::2] for line in file.read(_MOST_BYTES).splitlines())
    except FileNotFoundError:
        return None
    return written.get("state", "Unreadable"), written.get("sentence", "its state file says nothing")
