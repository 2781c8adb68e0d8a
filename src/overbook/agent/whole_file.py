"""A small file that others may read at any moment: it appears whole, or not at all."""

import os
from contextlib import suppress
from typing import Final

MODE: Final = 0o600


def write_whole(path: str, data: bytes) -> None:
    """Write it under another name and rename it; its folder is made where it is missing.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    making = f"{path}.new"
    # One name, so that an agent that is killed here leaves no second file; mode from the first byte.
    with suppress(FileNotFoundError):
        os.unlink(making)
    with open(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
        file.write(data)
    os.rename(making, path)
