"""The page on overcommit: the level, when a node counts as overcommitted, and the kernel's part in it."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.kubernetes.resources import Amounts, Resources
from overbook.core.overcommit.level import container_levels

TITLE = "Overcommit: the level, when a node is overcommitted, the kernel's part"


def page(here: Here) -> str:
    """The page."""
    resources = Resources(Amounts.of(memory_bytes=1 << 30), Amounts.of(memory_bytes=2 << 30))
    level = container_levels(resources).memory.percent
    return f"""
Pods are placed by requests and may use up to their limits. The gap between the two is the
overcommitment: a container that requests 1Gi and is limited to 2Gi is placed as if it needed 1Gi and
may take 2Gi, so its level is {level} %. A request that is not given takes the limit's value, which is a
level of 100 %. Without a limit there is no level: nothing bounds what the container may take but the
node.

The same sum is made for a pod, a namespace and a node. A node is overcommitted when a pod on it makes
no request at all, or when the limits of its pods together exceed its capacity. That can be what you
want, where performance may be traded for density, as on a development cluster. It is a bet that not all
pods use their limits at once.

The kernel has to play along. It must hand out memory without checking whether all of it could be
backed, and when it runs out it must end a process by its score rather than stop the machine. The
kubelet sets both:

  vm.overcommit_memory   1 always hand out
                         (0: refuse the obviously impossible, 2: only what can be backed)
  vm.panic_on_oom        0 call the OOM killer (1: panic)

On {here.name}:

  vm.overcommit_memory   {here.overcommit_memory}
  vm.panic_on_oom        {here.panic_on_oom}
  RAM                    {here.memory}
  swap                   {here.swap}, which is enough for {here.carried}

To switch overcommitment off on a node, set vm.overcommit_memory=0 there: the kubelet sets it back when
it starts, and one that runs with protectKernelDefaults refuses to start instead. To switch it off in a
project, annotate its namespace (see `overbook explain --topic override`).
"""
