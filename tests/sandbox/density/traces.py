"""Loads and traces made by hand."""

from overbook_sandbox.density.loads import Grow, Load
from overbook_sandbox.density.shapes import vm, vms
from overbook_sandbox.density.trace import End, Left, PodPoint, TracePoint

LOAD = Load(
    name="made",
    title="made by hand",
    about="two VMs, and one that takes more and more",
    pods=(*vms(2, 100, 20), vm("vm-x", 100, 20, Grow(mib_per_second=10, hot=True))),
    guilty=("vm-x",),
    must_go=1,
)


def pod(units: int, *, memory: float = 100, swap: float = 0, cached: float = 0, **changed: float) -> PodPoint:
    return PodPoint(
        memory_mib=memory,
        swap_mib=swap,
        swap_cached_mib=cached,
        some_percent=changed.get("some", 0),
        units=units,
        gap_seconds=changed.get("gap", 0),
        alive=bool(changed.get("alive", True)),
    )


def point(at: float, **pods: PodPoint) -> TracePoint:
    named = {name.replace("_", "-"): one for name, one in pods.items()}
    return TracePoint(at=at, available_mib=10, swap_used_mib=0, some_percent=0, full_percent=0, pods=named)


def working(seconds: int, rate: int = 10) -> list[TracePoint]:
    """Two VMs that finish `rate` units a second each, from 5 s before the event."""
    return [
        point(at / 2, vm_1=pod((at + 10) * rate // 2), vm_2=pod((at + 10) * rate // 2), vm_x=pod(0))
        for at in range(-10, 2 * seconds + 1)
    ]


def left(name: str, at: float, decided_at: float | None = None) -> Left:
    how = "kernel" if decided_at is None else "guard"
    return Left(pod=name, at=at, how=how, decided_at=decided_at)  # type: ignore[arg-type]  # one of two words


def end(at: float, **gaps: float) -> End:
    named = {name.replace("_", "-"): gap for name, gap in gaps.items()}
    return End(at=at, longest_gaps=named, kernel_kills=0)
