"""The page on swap: why it is off by default, what breaks when it is on, and which pods get how much."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.overcommit.swap import node_swap_bytes
from overbook.core.text import shown

TITLE = "Swap: why it is off by default, what breaks when it is on"


def page(here: Here) -> str:
    """The page."""
    example = 150 if here.percent is None or here.percent <= 100 else here.percent
    needed = (
        shown(node_swap_bytes(here.ordinary_bytes, example)) if here.ordinary_bytes else "half of its RAM"
    )
    return f"""
Kubernetes assigns memory by requests: the scheduler fills a node until requests reach its RAM. Swap is in
none of these sums. If every pod may swap, a pod can get memory that exists only on a disk: it has the
requested size, but is slow. That is why the kubelet by default refuses to start on a node with swap.

What breaks when swap is on without care:

- Guaranteed pods that reach their limit may go on in swap. They were promised RAM, and run at the
  disk's pace; when the swap is full, their processes are killed after all.
- The kubelet measures available memory without swap, so pages moved to disk look like freed memory. The
  node does not recognise MemoryPressure, and more pods are placed on it while it is already short.
- Eviction thresholds fire late or never, since they watch the same number. What was meant to move a pod
  to a calmer node ends with the kernel's OOM killer instead.
- The kubelet's eviction ranks pods by working set. A pod that was swapped out looks small, its
  neighbour looks guilty.

How it is made safe: only Burstable pods may swap (by default only those of virtual machines), never
Guaranteed, BestEffort or critical ones; each container has a limit (memory.swap.max) in proportion to
what it requested; the system's own services are kept out of swap; and the agent watches swap traffic,
swap use and stalls, and has a pod evicted or live-migrated before the node is lost (see `overbook
explain --topic pressure`).

How much a node needs: NODE_SWAP_SPACE = NODE_RAM × (percent / 100 - 1). At {example} % {here.name} with
{here.memory} of RAM needs {needed}. With exactly that much, request plus swap share of a VM add up to
its whole guest: overbook swap-size --ram SIZE --overcommit {example} --guest SIZE shows the sum.

On {here.name}:

  RAM                    {here.memory}
  swap                   {here.swap}
  swap areas             {here.swap_areas}
  enough for             {here.carried}
  vm.swappiness          {here.swappiness}
  cgroup                 {here.cgroup} (swap limits need version 2)
"""
