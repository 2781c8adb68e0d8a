"""The page on reserves: memory kept for the system, and for the higher QoS classes by qos-reserved."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.kubernetes.reserve import allocatable, proposed_reserve, qos_reserve
from overbook.core.kubernetes.resources import Amounts
from overbook.core.text import cores, shown

TITLE = "Reserves: for the system, and for the higher QoS classes"


def page(here: Here) -> str:
    """The page."""
    return f"""
For the system. What the kubelet, the runtime and sshd need is taken off a node's capacity before pods
are placed: allocatable = capacity - kubeReserved - systemReserved - the hard eviction threshold. The
cgroup of all pods is limited to the same without the threshold. Memory above all should be reserved,
because it cannot be shared out again once it is used; without a reserve the system's own daemons
compete with every pod. Swap is in no reservation.

{_system(here)}

For the higher classes. qos-reserved=memory=N% keeps part of what a class requests out of reach of those
below it: Guaranteed requests are kept from Burstable and BestEffort, and Burstable requests from
BestEffort.

- 100%: the lower classes never touch what higher ones requested. Guarantees are strongest, and
  BestEffort and Burstable pods are the most likely to be killed at their own ceiling.
- 50%: the lower classes may use half of it.
- 0%: they may use all that is allocatable as long as it is free. A Guaranteed pod may then not find
  what it requested. That is the same as not having the feature.

{_classes(here)}

The kubelet's own switch for it is the alpha feature gate QOSReserved, off by default. The agent does it
without: overbook agent --qos-reserved memory=50%. MemoryQoS is another one: on by default from Kubernetes
1.37 on, it protects requests from reclaim (memory.min, memory.low) if memoryReservationPolicy is
TieredReservation; what is protected is swapped out late, or never, and offload and reclaim leave it alone.

What to reserve for the system on a node, beside what is reserved there now: overbook node reserve.
"""


def _system(here: Here) -> str:
    if not here.memory_bytes:
        return "The reserve of this machine is not known: its memory is not readable here."
    capacity = Amounts.of((here.cpus or 1) * 1000, here.memory_bytes)
    proposed = proposed_reserve(Amounts.of(capacity.cpu_milli, here.ordinary_bytes))
    left = allocatable(capacity, system_reserved=proposed, huge_pages_bytes=here.huge_pages_bytes).reported
    cpu = f" and {cores(proposed.cpu_milli)} CPU" if here.cpus else ""
    return (
        f"For {here.name} with {here.memory} a sensible reserve is {shown(proposed.memory_bytes or 0)} of "
        f"memory{cpu}, which leaves {shown(left.memory_bytes or 0)} allocatable after the default eviction "
        "threshold of 100Mi."
    )


def _classes(here: Here) -> str:
    memory = here.ordinary_bytes or 16 << 30
    name = f"On {here.name} with {here.memory}" if here.memory_bytes else "On a node with 16Gi"
    lines = [
        f"{name}, where Guaranteed pods request a quarter of the memory and Burstable pods another quarter:",
        "",
    ]
    for percent in (100, 50, 0):
        kept = qos_reserve(memory, memory // 4, memory // 4, percent)
        lines.append(
            f"  {percent:>3} %   Burstable up to {shown(kept.burstable_max_bytes):<9} "
            f"BestEffort up to {shown(kept.best_effort_max_bytes)}"
        )
    return "\n".join(lines)
