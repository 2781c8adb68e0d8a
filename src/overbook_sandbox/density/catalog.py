"""The catalogue of loads."""

from typing import Any, Final, Literal

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.loads import (
    OVERHEAD_MIB,
    PERCENT,
    PROCESS_MIB,
    Act,
    AllHot,
    Burn,
    FloodCache,
    Grow,
    Load,
    LoadPod,
    Rotate,
    Wake,
)

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


def _one_culprit(name: str, title: str, about: str, act: Act, fit: Fit = "fair", **fields: Any) -> Load:
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


def _storm(name: str, title: str, about: str, act: Act, fit: Fit, must_go: int) -> Load:
    """Four VMs that fill what they are covered for; three of them fit into RAM."""
    return Load(name=name, title=title, about=about, pods=vms(4, 275, 50, act, fit=fit), must_go=must_go)


def _sandbox(name: str, *acts: Act) -> LoadPod:
    return LoadPod(name=name, shape="Sandbox", request_mib=26, hot_mib=4, cold_mib=30, idle=True, acts=acts)


_WILD_ABOUT: Final = "one of four VMs takes 30 MiB/s more, uses all of it, and does not stop"
_LEAK_ABOUT: Final = "one of four VMs takes 20 MiB/s more, and never uses it again"

LOADS: Final[tuple[Load, ...]] = (
    _one_culprit("wild", "one VM runs wild", _WILD_ABOUT, WILD),
    _one_culprit("leak", "one VM leaks cold memory", _LEAK_ABOUT, LEAK, event_seconds=35),
    _storm(
        "short-storm",
        "all hot for 8 s",
        "four VMs hold what they are covered for, and use all of it for 8 s",
        AllHot(seconds=8),
        "fair",
        0,
    ),
    _storm(
        "storm",
        "all hot for good",
        "four VMs hold what they are covered for, and use all of it for good: three fit",
        AllHot(),
        "fair",
        1,
    ),
    _one_culprit(
        "wild-tight", "one VM runs wild, tight requests", f"tight requests; {_WILD_ABOUT}", WILD, "tight"
    ),
    _one_culprit(
        "leak-tight",
        "one VM leaks, tight requests",
        f"tight requests; {_LEAK_ABOUT}",
        LEAK,
        "tight",
        event_seconds=35,
    ),
    Load(
        name="small",
        title="18 small VMs, one more runs wild",
        about="beside 18 VMs of 40 MiB, one takes 30 MiB/s more, uses all of it, and does not stop",
        pods=(*vms(18, 40, 10, overhead_mib=SMALL_OVERHEAD_MIB), vm("vm-x", 60, 20, WILD)),
        guilty=("vm-x",),
        must_go=1,
    ),
    Load(
        name="busy",
        title="wild beside two busy Guaranteed VMs",
        about="two Guaranteed VMs compute all the time; one of three others runs wild",
        pods=(
            *(
                LoadPod(
                    name=f"busy-{n + 1}",
                    shape="Guaranteed",
                    request_mib=100,
                    hot_mib=20,
                    cold_mib=50,
                    acts=(Burn(),),
                )
                for n in range(2)
            ),
            *vms(2, GUEST_MIB, HOT_MIB),
            culprit(WILD),
        ),
        guilty=("vm-x",),
        must_go=1,
        least_cpus=2,
    ),
    Load(
        name="no-swap-pod",
        title="a pod without swap runs wild",
        about="beside three VMs, a pod that may not swap takes 30 MiB/s more, and does not stop",
        pods=(
            *vms(3, GUEST_MIB, HOT_MIB),
            LoadPod(name="app-x", shape="NoSwap", request_mib=100, hot_mib=60, cold_mib=20, acts=(WILD,)),
        ),
        guilty=("app-x",),
        must_go=1,
    ),
    Load(
        name="cache",
        title="page-cache flood",
        about="beside four cold VMs, a pod reads and writes 60 MiB/s of a disk; nobody has to go",
        pods=(
            *vms(4, 205, 50),
            LoadPod(
                name="backup",
                shape="Pod",
                request_mib=60,
                hot_mib=10,
                cold_mib=10,
                acts=(FloodCache(mib_per_second=60),),
            ),
        ),
        guilty=("backup",),
    ),
    Load(
        name="rotate",
        title="rotating hot memory",
        about="of four VMs' memory, another sixth is hot every 4 s; nobody has to go",
        pods=vms(4, 270, 45, Rotate(every_seconds=4)),
    ),
    Load(
        name="two-culprits",
        title="two VMs run wild",
        about="two of four VMs take 30 MiB/s more each, use all of it, and do not stop",
        pods=(*vms(2, GUEST_MIB, HOT_MIB), culprit(WILD), culprit(WILD, "vm-y")),
        guilty=("vm-x", "vm-y"),
        must_go=2,
        event_seconds=35,
    ),
    _one_culprit(
        "priority",
        "the wild VM has the higher priority",
        f"{_WILD_ABOUT}; its priority is higher than that of the others",
        WILD,
        culprit_options={"priority": 1000},
    ),
    _one_culprit(
        "unmovable",
        "the wild VM cannot be moved",
        "a critical VM, which never swaps and is never evicted, takes 350 MiB more: one of three has to go",
        Grow(mib_per_second=30, hot=True, most_mib=350),
        culprit_options={"critical": True},
    ),
    Load(
        name="boot-storm",
        title="all VMs start at once",
        about="eight VMs start and fill their memory at the same time; nobody has to go",
        pods=vms(8, 125, 25, overhead_mib=SMALL_OVERHEAD_MIB),
        starts="at the event",
        fill_mib_per_second=300,
    ),
    _one_culprit(
        "slow-disk", "one VM runs wild, slow swap disk", f"a slow disk; {_WILD_ABOUT}", WILD, disk="slow"
    ),
    _one_culprit(
        "stalling-disk",
        "one VM runs wild, swap disk that stalls",
        f"a disk that stands still 3 s of 8; {_WILD_ABOUT}",
        WILD,
        disk="stalling",
    ),
    _one_culprit(
        "zram", "one VM runs wild, zram", f"swap in compressed RAM; {_WILD_ABOUT}", WILD, disk="zram"
    ),
    Load(
        name="sandboxes",
        title="30 idle sandboxes, five wake",
        about="of 30 large idle sandboxes, five wake at the same time, twice for 5 s; nobody has to go",
        pods=tuple(
            _sandbox(
                f"sandbox-{n + 1}", *((Wake(after_seconds=1, seconds=5, every_seconds=12),) if n < 5 else ())
            )
            for n in range(30)
        ),
        fill_mib_per_second=150,
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
