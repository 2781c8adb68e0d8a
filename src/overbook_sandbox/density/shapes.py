"""The pods that loads are made of, as KubeVirt makes them, and loads of the same form."""

from typing import Any, Final, Literal

from overbook_sandbox.density.loads import OVERHEAD_MIB, PERCENT, PROCESS_MIB, Act, Grow, Load, LoadPod

Fit = Literal["fair", "tight"]
WILD: Final = Grow(mib_per_second=30, hot=True)
"""About what a runaway process takes that also uses what it took."""
LEAK: Final = Grow(mib_per_second=20, hot=False)
"""Fast for a leak, so that the node is exhausted within 20 s."""
GUEST_MIB: Final = 250
HOT_MIB: Final = 60
SMALL_OVERHEAD_MIB: Final = 8


def vm(
    name: str,
    guest_mib: float,
    hot_mib: float,
    *acts: Act,
    used_mib: float | None = None,
    fit: Fit = "fair",
    overhead_mib: float = OVERHEAD_MIB,
    priority: int = 0,
    critical: bool = False,
) -> LoadPod:
    """A VM as KubeVirt makes its pod.

    Args:
        name: the pod's name.
        guest_mib: the guest's memory.
        hot_mib: how much of it is hot.
        acts: what it does from the event on.
        used_mib: how much of its memory the guest uses before the event; None: all of it.
        fit: ``fair``: request and allowance hold the guest and the pod's overhead with some room; ``tight``:
            they hold what the pod holds, when its guest uses all of its memory, with 2 % to spare.
        overhead_mib: in a fair load, the overhead that is added to the request.
        priority: the pod's priority.
        critical: whether it is a critical pod.
    """
    if fit == "tight":
        overhead_mib = (1.02 * (guest_mib + PROCESS_MIB) - guest_mib) * 100 / PERCENT
    return LoadPod(
        name=name,
        shape="VM",
        request_mib=guest_mib * 100 / PERCENT + overhead_mib,
        overhead_mib=overhead_mib,
        hot_mib=hot_mib,
        cold_mib=(guest_mib if used_mib is None else used_mib) - hot_mib,
        priority=priority,
        critical=critical,
        acts=acts,
    )


def vms(
    count: int,
    guest_mib: float,
    hot_mib: float,
    *acts: Act,
    fit: Fit = "fair",
    overhead_mib: float = OVERHEAD_MIB,
) -> tuple[LoadPod, ...]:
    """Equal VMs, named ``vm-1`` and so on, whose guests use all of their memory."""
    return tuple(
        vm(f"vm-{n + 1}", guest_mib, hot_mib, *acts, fit=fit, overhead_mib=overhead_mib) for n in range(count)
    )


def culprit(act: Act, name: str = "vm-x", **options: Any) -> LoadPod:
    """A VM that uses less than half of its guest's memory, until the event."""
    return vm(name, GUEST_MIB, HOT_MIB, act, used_mib=100, **options)


def one_culprit(name: str, title: str, about: str, act: Act, fit: Fit = "fair", **fields: Any) -> Load:
    """Three large cold VMs and a culprit."""
    options = fields.pop("culprit_options", {})
    return Load(
        name=name,
        title=title,
        about=about,
        pods=(*vms(3, GUEST_MIB, HOT_MIB, fit=fit), culprit(act, fit=fit, **options)),
        guilty=("vm-x",),
        must_go=1,
        **fields,
    )


def storm(name: str, title: str, about: str, act: Act, fit: Fit, must_go: int) -> Load:
    """Four VMs that fill what they are covered for; three of them fit into RAM."""
    return Load(name=name, title=title, about=about, pods=vms(4, 275, 50, act, fit=fit), must_go=must_go)


def sandbox(name: str, *acts: Act) -> LoadPod:
    """A large pod that only waits, until an act wakes it."""
    return LoadPod(name=name, shape="Sandbox", request_mib=26, hot_mib=4, cold_mib=30, idle=True, acts=acts)
