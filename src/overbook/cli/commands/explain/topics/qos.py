"""The page on QoS classes: how a pod gets its class, and which pod is killed first."""

from overbook.cli.commands.explain.topics.here import Here
from overbook.core.kubernetes.oom_score import (
    BEST_EFFORT_OOM_SCORE_ADJ,
    GUARANTEED_OOM_SCORE_ADJ,
    oom_score_adj,
)
from overbook.core.kubernetes.pod import Container, Pod, PodSpec, ResourceRequirements
from overbook.core.kubernetes.resolved import resolve

TITLE = "QoS classes: how a pod gets its class, and which pod is killed first"


def page(here: Here) -> str:
    """The page."""
    example = ""
    if here.memory_bytes:
        half = Container(
            name="a", resources=ResourceRequirements(requests={"memory": str(here.memory_bytes // 2)})
        )
        pod = resolve(Pod(spec=PodSpec(containers=(half,))))
        score = oom_score_adj(pod, pod.containers[0], here.memory_bytes)
        example = f" (on {here.name}, with {here.memory}, one that requests half of it gets {score})"
    return f"""
When the pods on a node want more memory than there is, some pod has to end. The QoS class decides which.
It is not set by anyone: it follows from the requests and limits of CPU and memory.

- Guaranteed (first in rank): every container has limits for both, and the pod's requests equal its
  limits. A limit alone is enough, since a request that is not given takes the limit's value.
- Burstable: something is requested or limited, but it is not all equal.
- BestEffort (last): nothing in the pod requests or limits either.

Memory cannot be throttled like CPU: memory that one pod holds, another cannot get. So under shortage
processes are killed, the lowest class first, which is BestEffort. A Burstable container may be killed when
it holds more than it requested and no BestEffort one is left. A Guaranteed container is killed only when
it exceeds its own limit, or when no lower class is left.

Two mechanisms decide, and they differ:

- The kernel's OOM killer takes the process with the highest score: its share of memory in thousandths
  plus oom_score_adj. That is {GUARANTEED_OOM_SCORE_ADJ} for Guaranteed, {BEST_EFFORT_OOM_SCORE_ADJ}
  for BestEffort, and for Burstable the closer to 1000 the less it requests{example}. So the more a VM
  is overcommitted, the easier it is killed. It acts at once, without asking.
- The kubelet's eviction goes by use, not by class: first pods that use more than they request, then
  lower priority, then the larger excess. Critical pods are never evicted. The kubelet checks every ten
  seconds and evicts one pod at a time.

A container that exceeds its own memory limit is killed at once, whatever its class and however much is
free.

`overbook explain FILE…` shows class, score and order for your own manifests.
"""
