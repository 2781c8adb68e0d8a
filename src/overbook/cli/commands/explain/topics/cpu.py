"""CPU: requests as shares, limits as quota, and how spare time is split."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.kubernetes.cgroup import (
    cpu_quota_micros,
    cpu_shares,
    cpu_weight_of_kubelet,
    cpu_weight_of_runtime,
)

TITLE = "CPU: requests as shares, limits as quota, and how spare time is split"


def page(here: Here) -> str:
    """The page."""
    rows = "\n".join(
        f"  {f'{milli}m':>6}  {cpu_shares(milli):>6}  {cpu_weight_of_kubelet(cpu_shares(milli)):>8}  "
        f"{cpu_weight_of_runtime(cpu_shares(milli)):>12}  {cpu_quota_micros(milli):>9} of 100000"
        for milli in (100, 250, 500, 1000, 4000)
    )
    large, small = (cpu_weight_of_runtime(cpu_shares(milli)) for milli in (500, 250))
    cpus = f"{here.name.capitalize()} has {here.cpus} CPUs." if here.cpus else ""
    return f"""
A CPU request is a guarantee and a weight. The kernel gives each container at least its share when all
want to run, and splits what is left over by the same weights. Of two containers that request 500m and
250m, the first is meant to get twice as much of the spare time. A limit is a ceiling: at most so many
microseconds of CPU time in each period of 100 ms, then the container waits for the next one, even if
the node is idle. {cpus}

  request  shares  pod's      container's   as a limit:
                   weight     weight        microseconds

{rows}

Requests become CFS shares, and on cgroup v2 shares become cpu.weight. Two conversions are in use on one
node: the kubelet converts linearly for pods and classes, today's runtimes quadratically for containers.
So between two pods a ratio of requests survives, while between two containers of one pod 500m and 250m
become {large} and {small}, which is {large / small:.2f} to 1 rather than 2 to 1. `overbook explain`
shows both levels.

With the quota switched off (cpuCFSQuota: false in the kubelet's configuration, by pool of nodes; older
texts write cpu-cfs-quota):

- A CPU request works as before, through the weight.
- A container with a limit and no request has the limit as its request, and that works through the
  weight.
- A container with both keeps its request as the weight. Its limit has no effect on the node any more.

`overbook explain --no-cpu-quota FILE…` shows what your pods would get then.
"""
