"""The densities that a search found: the largest number of pods on one node without harm."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

Kind = Literal["vms", "sandboxes"]
KINDS: Final[dict[Kind, str]] = {"vms": "cold VMs", "sandboxes": "idle sandboxes"}
"""What is counted, in words."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One boot of a search.

    Attributes:
        count: the number of pods.
        harmless: whether none was lost and all kept their pace.
        pace_percent: what they finished, in percent of what they would alone.
        lost: pods that left.
        kernel_kills: processes that the kernel's OOM killer ended.
        longest_gap_seconds: the longest standstill of a pod.
    """

    count: int
    harmless: bool
    pace_percent: float
    lost: int
    kernel_kills: int = 0
    longest_gap_seconds: float = 0


class Density(msgspec.Struct, frozen=True, kw_only=True):
    """The density of one kind of pod under one guard.

    Attributes:
        kind: what is counted.
        guard: the guard's name.
        cpus: the node's CPUs.
        memory_mib: its RAM.
        swap_mib: its swap; 0: none.
        percent: the overcommit percentage that the requests follow.
        seed: the seed.
        most: the largest count without harm.
        trials: all boots, in their order.
    """

    kind: Kind
    guard: str
    cpus: int
    memory_mib: int
    swap_mib: int
    percent: int
    seed: int
    most: int
    trials: tuple[Trial, ...]


DensityKey = tuple[Kind, str, int, int, int]


def density_key(found: Density) -> DensityKey:
    """What makes a density another one than the others."""
    return found.kind, found.guard, found.cpus, found.percent, found.seed


def read_densities(lines: Iterable[bytes]) -> list[Density]:
    """The densities of ``most.jsonl``; a later one replaces an earlier one."""
    decoder = msgspec.json.Decoder(Density)
    found = (decoder.decode(line) for line in lines if line.strip())
    return list({density_key(one): one for one in found}.values())


def ratios(densities: Sequence[Density], one: Density, ours: str) -> dict[str, float]:
    """One guard's density divided by that without swap, and by that of the best other guard.

    Args:
        densities: all.
        one: the density.
        ours: the guard that is not among the others.
    """
    same = [other for other in densities if (other.kind, other.cpus) == (one.kind, one.cpus)]
    found: dict[str, float] = {}
    without = [other.most for other in same if other.guard == "no-swap"]
    if without and without[0]:
        found["no-swap"] = round(one.most / without[0], 2)
    best = max((other.most for other in same if other.guard not in {one.guard, ours}), default=0)
    if best:
        found["best other"] = round(one.most / best, 2)
    return found
