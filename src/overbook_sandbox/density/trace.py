"""What the node's program sends to the host: points of the trace, pods that left, and the end."""

from typing import Literal

import msgspec

from overbook_sandbox.density.loads import Load

How = Literal["guard", "kernel", "exited"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the node's program has to do.

    Attributes:
        load: the load, with its chance already in it.
        guard: the guard's name.
        swap: whether the node has swap.
        flooded: whether the disk has a part for files.
    """

    load: Load
    guard: str
    swap: bool = True
    flooded: bool = False


class PodPoint(msgspec.Struct, frozen=True, array_like=True):
    """A pod at one moment.

    Attributes:
        memory_mib: ``memory.current``.
        swap_mib: ``memory.swap.current``.
        swap_cached_mib: the part of both that is the same memory.
        some_percent: the pod's stall since the last point.
        units: the units of work it has done.
        gap_seconds: the time since the last of them; 0 while it sleeps.
        alive: whether it has a process.
    """

    memory_mib: float
    swap_mib: float
    swap_cached_mib: float
    some_percent: float
    units: int
    gap_seconds: float
    alive: bool


class TracePoint(msgspec.Struct, frozen=True, kw_only=True, tag="point", tag_field="what"):
    """The node at one moment.

    Attributes:
        at: seconds after the event; negative: before it.
        available_mib: MemAvailable.
        swap_used_mib: swap in use.
        some_percent: the node's stall since the last point.
        full_percent: the stall of all its tasks together.
        pods: each pod by name.
    """

    at: float
    available_mib: float
    swap_used_mib: float
    some_percent: float
    full_percent: float
    pods: dict[str, PodPoint]


class Left(msgspec.Struct, frozen=True, kw_only=True, tag="left", tag_field="what"):
    """A pod has left the node.

    Attributes:
        pod: its name.
        at: seconds after the event.
        how: who ended it.
        decided_at: when it was decided, in seconds after the event; None: by nobody.
        reason: why, in the guard's words.
    """

    pod: str
    at: float
    how: How
    decided_at: float | None = None
    reason: str = ""


class PhaseBegun(msgspec.Struct, frozen=True, kw_only=True, tag="phase", tag_field="what"):
    """A phase begins.

    Attributes:
        name: its name.
        uptime_seconds: the time since the node's boot.
    """

    name: str
    uptime_seconds: float


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="what"):
    """The load is over.

    Attributes:
        at: seconds after the event.
        longest_gaps: the longest standstill since the event by pod, in seconds.
        kernel_kills: processes that the kernel's OOM killer has ended.
        guard_cpu_seconds: CPU time of the guard's processes since the event; None: it has none.
        guard_figures: what the guard counted itself.
    """

    at: float
    longest_gaps: dict[str, float]
    kernel_kills: int
    guard_cpu_seconds: float | None = None
    guard_figures: dict[str, float] = {}


Message = TracePoint | Left | PhaseBegun | End
