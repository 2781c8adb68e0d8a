"""The file from which the OCI hook on the host knows what a new container may swap."""

import contextlib
import os
from collections.abc import Mapping
from typing import Final

PATH: Final = "run/overbook/allowances"
"""Below the host's root."""


class AllowanceFile:
    """Keeps ``POD_UID/CONTAINER BYTES``, a line for each container.

    Args:
        root: the host's file system.
    """

    def __init__(self, root: str) -> None:
        self._path = os.path.join(root, PATH)
        self._content: bytes | None = None

    def keep(self, allowances: Mapping[tuple[str, str], int]) -> bool:
        """Write it whole, if it changed; whether it had.

        Raises:
            OSError: it cannot be written; what was there stays.
        """
        lines = sorted(f"{uid}/{name} {bytes_}\n" for (uid, name), bytes_ in allowances.items())
        content = "".join(lines).encode()
        if content == self._content:
            return False
        os.makedirs(os.path.dirname(self._path), mode=0o755, exist_ok=True)
        making = f"{self._path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(making)
        fd = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)
        os.replace(making, self._path)
        self._content = content
        return True

    def remove(self) -> None:
        """Take it away: a hook without it leaves every container as it is."""
        self._content = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
