"""Swap: why it is off by default, what breaks when it is on, and who gets how much."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.overcommit.swap import node_swap_bytes
from overbook.core.text import shown

TITLE = "Swap: why it is off by default, what breaks when it is on"


def page(here: Here) -> str:
    """The page."""
    example = 150 if here.percent is None or here.percent <= 100 else here.percent
    needed = shown(node_swap_bytes(here.memory_bytes, example)) if here.memory_bytes else "half of its RAM"
    return f"""
Kubernetes promises memory by requests: the scheduler fills a node until requests reach its RAM. Swap is
in none of these sums. With swap on for everybody, a pod can be placed on memory that exists only on a
disk, so the promise is kept in name and broken in speed. That is why the kubelet by default refuses to
start on a node with swap.

What breaks when swap is on without care:

- Guaranteed pods that reach their limit may go on in swap. They were promised RAM, and run at the
  disk's pace; when   the swap is full, their processes are killed after all.
- The kubelet measures available memory without swap, so pages moved to disk look like freed memory. The
  node does not   recognise MemoryPressure, and more pods are placed on it while it is already short.
- Eviction thresholds fire late or never, since they watch the same number. What was meant to move a pod
  to a calmer   node ends with the kernel's OOM killer instead.
- The kubelet's eviction ranks pods by working set. A pod that was swapped out looks small, its
  neighbour looks guilty.

How it is made safe: only Burstable pods may swap (by default only those of virtual machines), never
Guaranteed, BestEffort or critical ones; each container has a limit (memory.swap.max) in proportion to
what it requested; the system's own services are kept out of swap; and somebody watches swap traffic,
occupancy and stalls and moves a guest before the node is lost (see `overbook explain --topic
pressure`).

How much a node needs: NODE_SWAP_SPACE = NODE_RAM × (percent / 100 - 1). At {example} % {here.name} with
{here.memory} of RAM needs {needed}. With exactly that much, request plus swap share of a VM add up to
its whole guest: overbook swap-size --ram SIZE --overcommit {example} --guest SIZE shows the sum.

On {here.name}:

  RAM                    {here.memory}
  swap                   {here.swap}
  swap areas             {here.swap_areas}
  it carries             {here.carried}
  vm.swappiness          {here.swappiness}
  cgroup                 {here.cgroup} (swap limits need version 2)
"""
