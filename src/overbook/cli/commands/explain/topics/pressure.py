"""The page on pressure: when a node with swap is under pressure, and the agent's actions."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.pressure.detectors.swap_occupancy import SwapOccupancy
from overbook.core.pressure.offload import OffloadPolicy
from overbook.core.pressure.ruleset import DEFAULT_RULESET
from overbook.core.text import shown

TITLE = "Pressure: when a node with swap is under pressure, and the agent's actions"


def page(here: Here) -> str:
    """The page."""
    rules = "\n".join(f"- {rule.title}." for rule in DEFAULT_RULESET.rules)
    return f"""
Swap hides a shortage until it is large. The kubelet has no eviction signal for swap and none for stalls,
so the agent watches both. A node is under pressure when one of these holds:

{rules}

High swap traffic means that pages go out and come back, again and again: both directions must be high,
because memory that is swapped out once and stays out does no harm. The average is taken over a window, so
one burst does not count.

High swap use means that memory and swap together come close to all there is: working set + used swap >
RAM + swap × factor. (Printed descriptions of this condition show the inequality the other way round,
which would evict on an idle node.) {_threshold(here)}

Stalls (PSI) are the time in which work had to wait for memory: of a pod, any of its tasks; of the node, all
that could run. They show within seconds what rates and sizes show late, and mean the same on a fast and on a
slow disk, unlike a rate in pages per second. A pod's covered memory is its request and its swap allowance.

Memory runs out when pods take more in that time than is available and may still be swapped out. A pod that
leaks need not stall before the kernel's OOM killer comes.

Memory can be short below a cgroup while the node has some: all pods together (kubepods) and QoS classes may
have a limit of their own, at which the kernel reclaims and kills. The same rules are read there, with the
limit for the RAM, and only pods below it are chosen; the decision names it.

The limits of traffic and use can be set with the variables of wasp-agent:
MAX_AVERAGE_SWAP_IN_PAGES_PER_SECOND, MAX_AVERAGE_SWAP_OUT_PAGES_PER_SECOND,
SWAP_UTILIZATION_THRESHOLD_FACTOR, AVERAGE_WINDOW_SIZE_SECONDS.

Then one pod is evicted or live-migrated, and the agent waits for the effect before it chooses another: a pod
beyond its covered memory soon, one within it only after long stalls, and none for traffic and use alone while
all are within. For stalls, and while swap has room, cold memory is swapped out first; for traffic and use
never, since that would increase them. Before any rule fires, cold memory is swapped out slowly, while less
than {OffloadPolicy().reserve_percent:g} % of RAM is available.

On {here.name}:

  pressure (PSI)   {here.pressure}
  swap             {here.swap}
  vm.swappiness    {here.swappiness}
"""


def _threshold(here: Here) -> str:
    detectors = [d for rule in DEFAULT_RULESET.rules for group in rule.any for d in group.all]
    for detector in detectors:
        if isinstance(detector, SwapOccupancy) and here.ordinary_bytes and here.swap_bytes:
            limit = here.ordinary_bytes + int(here.swap_bytes * detector.threshold_factor)
            factor = f"{detector.threshold_factor:g}"
            return f"On {here.name} that is above {shown(limit)}, with a factor of {factor}."
    return ""
