"""Protection of the calling process when memory is short: locked memory, OOM score, enough descriptors."""

import ctypes
import logging
import os
import resource
from typing import Final

log = logging.getLogger(__name__)

MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
MCL_ONFAULT: Final = 4
OOM_SCORE_ADJ: Final = -900
"""Killed after every pod except static ones, but before the kubelet (-999), which the node needs more."""


def lock_memory() -> bool:
    """Keep every page that the process has touched in RAM. Returns whether the kernel allowed it.

    With ONFAULT only pages in use are locked, not the address space that Python reserves.
    """
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (ValueError, OSError):
        log.debug("the limit on locked memory stays as it is")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0:
        return True
    reason = os.strerror(ctypes.get_errno())
    log.warning("memory is not locked (%s): a node that swaps will slow the agent down too", reason)
    return False


def lower_oom_score() -> bool:
    """Make the OOM killer choose other processes first. Returns whether the kernel allowed it."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            if int(file.read()) <= OOM_SCORE_ADJ:
                return True
            file.seek(0)
            file.write(str(OOM_SCORE_ADJ))
    except (OSError, ValueError) as error:
        log.warning("oom_score_adj stays as it is (%s)", error)
        return False
    return True


def raise_descriptor_limit() -> int:
    """Raise the soft limit on open files to the hard limit. Returns the limit now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft
