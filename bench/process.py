"""A process that is being measured."""

import os
import socket


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def cpu_micros(pid: int) -> float:
    """The CPU time of its main thread so far, user and system."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e3


def used_mib(pid: int) -> dict[str, float]:
    """Its memory, by the names in ``smaps_rollup``."""
    used = {}
    with open(os.path.join("/proc", str(pid), "smaps_rollup"), encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            words = rest.split()
            if len(words) == 2 and words[1] == "kB":
                used[name] = int(words[0]) / 1024
    return used
