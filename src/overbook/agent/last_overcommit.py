"""The file with the ``Overcommit`` that was last followed, for an agent that starts while the API is away.

A file that is not whole, or not this agent's own, counts as absent: then nothing is changed until the API
server has been read. The folder is gone at the next boot, and the file with it.
"""

import logging
import os
import stat
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec

from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.say_once import SayOnce
from overbook.node.files import write_whole

log = logging.getLogger(__name__)

PATH: Final = "run/overbook/overcommit.json"
MODE: Final = 0o600
MOST_BYTES: Final = 1 << 16
_NOT_OF_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content.

    Attributes:
        node: the node's name; a file that came from another node is not followed.
        spec: the settings that were followed.
    """

    node: str
    spec: OvercommitSpec


class LastOvercommit:
    """Keeps the settings that were last followed.

    Args:
        root: the host's file system.
        node_name: this node.
    """

    def __init__(self, root: str, node_name: str) -> None:
        self._path = os.path.join(root, PATH)
        self._node = node_name
        self._complain = SayOnce(partial(log.warning, "%s"))

    def read(self) -> OvercommitSpec | None:
        """Return the settings in the file; ``None``: there is no file that can be trusted."""
        try:
            kept = _DECODER.decode(self._content())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            self._complain(f"{self._path} is not used: {error}")
            return None
        if kept.node != self._node:
            self._complain(f"{self._path} is not used: it is of node {kept.node}")
            return None
        return kept.spec

    def keep(self, spec: OvercommitSpec) -> None:
        """Write the settings that are followed from now on."""
        try:
            write_whole(self._path, msgspec.json.encode(_Kept(self._node, spec)), MODE)
        except OSError as error:
            # The file must not say what no longer holds.
            with suppress(OSError):
                os.unlink(self._path)
            self._complain(f"the Overcommit cannot be kept for the next start: {error}")
        else:
            self._complain.over()

    def _content(self) -> bytes:
        """Read the file, if nobody else can have written it.

        Raises:
            OSError: it cannot be read.
            ValueError: somebody else may have written it.
        """
        # Without O_NONBLOCK a pipe in its place would be waited for.
        number = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(number, "rb") as file:
            about = os.fstat(number)
            if not stat.S_ISREG(about.st_mode):
                raise ValueError("it is no regular file")
            if about.st_uid != os.geteuid() or about.st_mode & _NOT_OF_OTHERS:
                raise ValueError("others may have written it")
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        return data


_DECODER: Final = msgspec.json.Decoder(_Kept)
