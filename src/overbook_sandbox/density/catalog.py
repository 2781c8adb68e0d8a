"""The catalogue of loads."""

from typing import Final, Literal

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.loads import (
    OVERHEAD_MIB,
    PERCENT,
    PROCESS_MIB,
    Act,
    Grow,
    Load,
    LoadPod,
)

Fit = Literal["fair", "tight"]
WILD: Final = Grow(mib_per_second=30, hot=True)
"""About what a runaway process takes that also uses what it took."""
LEAK: Final = Grow(mib_per_second=20, hot=False)
"""Fast for a leak, so that the node is exhausted within 20 s."""


def vm(
    name: str,
    guest_mib: float,
    hot_mib: float,
    *acts: Act,
    fit: Fit = "fair",
    priority: int = 0,
    critical: bool = False,
) -> LoadPod:
    """A VM as KubeVirt makes its pod, whose guest uses all of its memory.

    Args:
        name: the pod's name.
        guest_mib: the guest's memory.
        hot_mib: how much of it is hot.
        acts: what it does from the event on.
        fit: ``fair``: request and allowance hold the guest and the pod's overhead with some room; ``tight``:
            they hold what the pod holds with 2 % to spare.
        priority: the pod's priority.
        critical: whether it is a critical pod.
    """
    if fit == "fair":
        overhead_mib = float(OVERHEAD_MIB)
    else:
        overhead_mib = (1.02 * (guest_mib + PROCESS_MIB) - guest_mib) * 100 / PERCENT
    return LoadPod(
        name=name,
        shape="VM",
        request_mib=guest_mib * 100 / PERCENT + overhead_mib,
        overhead_mib=overhead_mib,
        hot_mib=hot_mib,
        cold_mib=guest_mib - hot_mib,
        priority=priority,
        critical=critical,
        acts=acts,
    )


def vms(count: int, guest_mib: float, hot_mib: float, *acts: Act, fit: Fit = "fair") -> tuple[LoadPod, ...]:
    """Equal VMs, named ``vm-1`` and so on."""
    return tuple(vm(f"vm-{n + 1}", guest_mib, hot_mib, *acts, fit=fit) for n in range(count))


LOADS: Final[tuple[Load, ...]] = (
    Load(
        name="wild",
        title="one VM runs wild",
        about="one of four VMs takes 30 MiB/s more, uses all of it, and does not stop",
        pods=(*vms(3, 250, 60), vm("vm-x", 250, 60, WILD)),
        guilty=("vm-x",),
        must_go=1,
    ),
    Load(
        name="leak",
        title="slow leak",
        about="one of four VMs takes 20 MiB/s more, and never uses it again",
        pods=(*vms(3, 250, 60), vm("vm-x", 250, 60, LEAK)),
        guilty=("vm-x",),
        must_go=1,
        event_seconds=35,
    ),
)


def find(name: str) -> Load:
    """The load with this name.

    Raises:
        InvalidInput: there is none.
    """
    for load in LOADS:
        if load.name == name:
            return load
    raise InvalidInput("--load", name, f"one of {', '.join(load.name for load in LOADS)}")
