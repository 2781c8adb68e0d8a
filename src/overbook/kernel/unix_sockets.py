"""/proc/1/net/unix: how many clients are connected to a socket, in the host's network namespace.

    Num       RefCount Protocol Flags    Type St Inode Path
    0000000000000000: 00000003 00000000 00000000 0001 03 31337 /run/nri/nri.sock

The server's end of a connection has the path that the listener was bound to. Source: kernel
net/unix/af_unix.c.
"""

import os

from overbook.kernel.files import read_file, under

LIMIT_BYTES = 16 << 20
_CONNECTED = b"03"


def count_connections(data: bytes, paths: frozenset[str]) -> int:
    """The number of connections to sockets that are bound to one of these paths."""
    wanted = {path.encode() for path in paths}
    lines = (line.split(maxsplit=7) for line in data.splitlines()[1:])
    return sum(len(line) == 8 and line[5] == _CONNECTED and line[7] in wanted for line in lines)


def read_connections(paths: frozenset[str], root: str | os.PathLike[str] = "/") -> int:
    """The number of connections to sockets bound to one of these paths, from /proc below `root`.

    Raises:
        KernelFileError: Unreadable.
    """
    return count_connections(read_file(under(root, "/proc/1/net/unix"), LIMIT_BYTES), paths)
