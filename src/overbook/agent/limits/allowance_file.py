"""The file from which the OCI hook reads the containers' allowances.

The file outlives the agent: a pod's allowance is right for as long as the pod lives, so the hook works on
without the agent. A file without its last line is incomplete: the hook takes nothing from it.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from overbook.node.files import write_whole

PATH: Final = "run/overbook/allowances"
LAST_LINE: Final = "end"
MOST_BYTES: Final = 1 << 20
"""The largest file. A node of 500 pods with five containers each needs a fifth of it."""


class AllowanceFile:
    """The file of allowances, with a line ``POD_UID/CONTAINER BYTES`` for each container.

    Args:
        root: the host's file system.
    """

    def __init__(self, root: str = "/") -> None:
        self._path = os.path.join(root, PATH)
        self._written: dict[tuple[str, str], int] | None = None
        self.left_out = 0
        """Containers for which the file had no room."""

    def keep(self, allowances: Mapping[tuple[str, str], int]) -> bool:
        """Write the file if its content changes; returns whether it was written.

        Args:
            allowances: bytes by pod UID and container name.

        Raises:
            OSError: the file cannot be written; the next call tries again.
        """
        if self._written == allowances and os.path.exists(self._path):
            return False
        data, self.left_out = _content(allowances)
        write_whole(self._path, data)
        self._written = dict(allowances)
        return True

    def remove(self) -> None:
        """Delete the file: from now on the hook sets no limit.

        Raises:
            OSError: the file cannot be deleted.
        """
        self._written = None
        with suppress(FileNotFoundError):
            os.unlink(self._path)


def _content(allowances: Mapping[tuple[str, str], int]) -> tuple[bytes, int]:
    """The file's bytes, and the number of containers for which there was no room."""
    lines: list[str] = []
    room = MOST_BYTES - len(LAST_LINE) - 1
    for (uid, container), swap_max_bytes in sorted(allowances.items()):
        line = f"{uid}/{container} {swap_max_bytes}\n"
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    return "".join([*lines, LAST_LINE, "\n"]).encode(), len(allowances) - len(lines)
