"""A cgroup's `cpu.max` and `cpu.weight`.

Source: kernel Documentation/admin-guide/cgroup-v2.rst. `overbook.kernel.cgroup.Cgroup` writes them.
"""

import errno

import msgspec

from overbook.kernel.files import KernelFileError

QUOTA_MICROS_MIN = 1_000
PERIOD_MICROS_MIN = 1_000
PERIOD_MICROS_MAX = 1_000_000
WEIGHT_MIN = 1
WEIGHT_MAX = 10_000


class CpuMax(msgspec.Struct, frozen=True, gc=False):
    """The CFS bandwidth limit: `quota_micros` of CPU time in each `period_micros`; None is no limit."""

    quota_micros: int | None
    period_micros: int = 100_000


def render_cpu_max(cpu_max: CpuMax, path: str = "cpu.max") -> bytes:
    """The text to write to cpu.max.

    Raises:
        KernelFileError: Quota under 1 ms, or period outside of 1 ms to 1 s, which the kernel refuses.
    """
    quota, period = cpu_max.quota_micros, cpu_max.period_micros
    if not PERIOD_MICROS_MIN <= period <= PERIOD_MICROS_MAX:
        span = f"{PERIOD_MICROS_MIN} to {PERIOD_MICROS_MAX} us"
        raise KernelFileError(path, f"cannot write a period of {period} us: it must be {span}", errno.EINVAL)
    if quota is not None and quota < QUOTA_MICROS_MIN:
        remedy = f"it must be at least {QUOTA_MICROS_MIN} us, or None for no limit"
        raise KernelFileError(path, f"cannot write a quota of {quota} us: {remedy}", errno.EINVAL)
    return f"{'max' if quota is None else quota} {period}\n".encode()


def render_cpu_weight(weight: int, path: str = "cpu.weight") -> bytes:
    """The text to write to cpu.weight.

    Raises:
        KernelFileError: Outside of 1 to 10000.
    """
    if not WEIGHT_MIN <= weight <= WEIGHT_MAX:
        raise KernelFileError(
            path, f"cannot write {weight}: it must be {WEIGHT_MIN} to {WEIGHT_MAX}", errno.EINVAL
        )
    return b"%d\n" % weight
