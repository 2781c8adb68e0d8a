"""The catalogue of loads."""

from typing import Final

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.loads import (
    AllHot,
    Burn,
    FloodCache,
    Grow,
    Load,
    LoadPod,
    Rotate,
    Wake,
)
from overbook_sandbox.density.shapes import (
    GUEST_MIB,
    HOT_MIB,
    LEAK,
    SMALL_OVERHEAD_MIB,
    WILD,
    culprit,
    one_culprit,
    sandbox,
    storm,
    vm,
    vms,
)

_WILD_ABOUT: Final = "one of four VMs takes 30 MiB/s more, uses all of it, and does not stop"
_LEAK_ABOUT: Final = "one of four VMs takes 20 MiB/s more, and never uses it again"

LOADS: Final[tuple[Load, ...]] = (
    one_culprit("wild", "one VM grows without end", _WILD_ABOUT, WILD),
    one_culprit("leak", "one VM leaks cold memory", _LEAK_ABOUT, LEAK, event_seconds=35),
    storm(
        "short-storm",
        "all hot for 8 s",
        "four VMs hold what they are covered for, and use all of it for 8 s",
        AllHot(seconds=8),
        "fair",
        0,
    ),
    storm(
        "storm",
        "all hot for good",
        "four VMs hold what they are covered for, and use all of it for good: three fit",
        AllHot(),
        "fair",
        1,
    ),
    one_culprit(
        "wild-tight",
        "one VM grows without end, tight requests",
        f"tight requests; {_WILD_ABOUT}",
        WILD,
        "tight",
    ),
    one_culprit(
        "leak-tight",
        "one VM leaks, tight requests",
        f"tight requests; {_LEAK_ABOUT}",
        LEAK,
        "tight",
        event_seconds=35,
    ),
    Load(
        name="small",
        title="18 small VMs, one more grows without end",
        about="beside 18 VMs of 40 MiB, one takes 30 MiB/s more, uses all of it, and does not stop",
        pods=(*vms(18, 40, 10, overhead_mib=SMALL_OVERHEAD_MIB), vm("vm-x", 60, 20, WILD)),
        guilty=("vm-x",),
        must_go=1,
    ),
    Load(
        name="busy",
        title="wild beside two busy Guaranteed VMs",
        about="two Guaranteed VMs compute all the time; one of three others grows without end",
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
            *vms(2, 290, HOT_MIB),
            culprit(WILD),
        ),
        guilty=("vm-x",),
        must_go=1,
        event_seconds=30,
        least_cpus=2,
    ),
    Load(
        name="no-swap-pod",
        title="a pod without swap grows without end",
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
        about="beside four cold VMs, a pod reads and writes 60 MiB/s of a disk; none has to go",
        pods=(
            *vms(4, 220, 50),
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
        about="of four VMs' memory, another sixth is hot every 4 s; none has to go",
        pods=vms(4, 270, 45, Rotate(every_seconds=4)),
    ),
    Load(
        name="two-culprits",
        title="two VMs grow without end",
        about="two of four VMs take 30 MiB/s more each, use all of it, and do not stop",
        pods=(*vms(2, GUEST_MIB, HOT_MIB), culprit(WILD), culprit(WILD, "vm-y")),
        guilty=("vm-x", "vm-y"),
        must_go=2,
        event_seconds=35,
    ),
    one_culprit(
        "priority",
        "the wild VM has the higher priority",
        f"{_WILD_ABOUT}; its priority is higher than that of the others",
        WILD,
        culprit_options={"priority": 1000},
    ),
    one_culprit(
        "unmovable",
        "the wild VM cannot be moved",
        "a critical VM, which never swaps and is never evicted, takes 350 MiB more: one of three has to go",
        Grow(mib_per_second=30, hot=True, most_mib=350),
        culprit_options={"critical": True},
    ),
    Load(
        name="boot-storm",
        title="all VMs start at once",
        about="eight VMs start and fill their memory at the same time; none has to go",
        pods=vms(8, 125, 25, overhead_mib=SMALL_OVERHEAD_MIB),
        starts="at the event",
        fill_mib_per_second=300,
    ),
    one_culprit(
        "slow-disk",
        "one VM grows without end, slow swap disk",
        f"a slow disk; {_WILD_ABOUT}",
        WILD,
        disk="slow",
    ),
    one_culprit(
        "stalling-disk",
        "one VM grows without end, swap disk that stalls",
        f"a disk that stands still 3 s of 8; {_WILD_ABOUT}",
        WILD,
        disk="stalling",
    ),
    one_culprit(
        "zram", "one VM grows without end, zram", f"swap in compressed RAM; {_WILD_ABOUT}", WILD, disk="zram"
    ),
    Load(
        name="sandboxes",
        title="30 idle sandboxes, five wake",
        about="of 30 large idle sandboxes, five wake at the same time, twice for 5 s; none has to go",
        pods=tuple(
            sandbox(
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
