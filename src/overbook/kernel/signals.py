"""Signals to the processes of a cgroup, which never reach a process outside of it.

A pid that was read from `cgroup.procs` may belong to another process by the time of the signal. A pidfd
always stands for the same process. So: open pidfds, read `cgroup.procs` again, and signal the pids that are
still listed. If a pid is listed after its pidfd was opened, the process of the pidfd is that member, or has
ended.
"""

import errno
import os
import signal
from collections.abc import Callable, Sequence

from overbook.kernel.files import KernelFileError

_BATCH = 128
_ROUNDS = 20


def signal_processes(read_pids: Callable[[], Sequence[int]], number: int, path: str) -> int:
    """Send a signal once to each process, new ones included, until a reading shows no new one.

    Args:
        read_pids: Reads the present pids; 0 stands for a process that this pid namespace does not show.
        number: The signal.
        path: The file that the pids come from, for messages.

    Returns:
        The number of processes that were signalled.

    Raises:
        KernelFileError: A process cannot be seen or may not be signalled; all others have been. Also after 20
            rounds that each found new processes.
    """
    seen: set[int] = set()
    reached: set[int] = set()
    problems: set[str] = set()
    for _ in range(_ROUNDS):
        pids = read_pids()
        if 0 in pids:
            problems.add("a process is in another pid namespace; run with the host's (hostPID: true)")
        fresh = [pid for pid in pids if pid > 0 and pid not in seen]
        if not fresh:
            break
        while fresh:
            tried = _signal_batch(fresh[:_BATCH], read_pids, number, reached, problems)
            seen.update(fresh[:tried])
            del fresh[:tried]
    else:
        problems.add(f"after {_ROUNDS} rounds there are still new processes")
    if problems:
        reasons = "; ".join(sorted(problems))
        raise KernelFileError(
            path, f"signal {number} reached {len(reached)} processes, but not all: {reasons}"
        )
    return len(reached)


def _signal_batch(
    pids: Sequence[int],
    read_pids: Callable[[], Sequence[int]],
    number: int,
    reached: set[int],
    problems: set[str],
) -> int:
    """Signal the first of `pids`, as many as there are descriptors for. Returns how many; at least one."""
    pidfds: list[tuple[int, int | None]] = []
    try:
        tried = _open_pidfds(pids, pidfds)
        members = frozenset(read_pids())
        for pid, pidfd in pidfds:
            if pid in members:
                try:
                    _send(pid, pidfd, number)
                    reached.add(pid)
                except ProcessLookupError:
                    continue
                except OSError as error:
                    problems.add(f"pid {pid}: {error.strerror}")
    finally:
        for _, pidfd in pidfds:
            if pidfd is not None:
                os.close(pidfd)
    return tried


def _open_pidfds(pids: Sequence[int], pidfds: list[tuple[int, int | None]]) -> int:
    for tried, pid in enumerate(pids):
        try:
            pidfds.append((pid, os.pidfd_open(pid)))
        except ProcessLookupError:
            continue  # ended meanwhile
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE} and tried:
                return tried  # the rest goes into the next batch
            pidfds.append((pid, None))  # no pidfd possible: kernel before 5.3, seccomp, no descriptors
    return len(pids)


def _send(pid: int, pidfd: int | None, number: int) -> None:
    if pidfd is None:
        os.kill(pid, number)
    else:
        signal.pidfd_send_signal(pidfd, number)
