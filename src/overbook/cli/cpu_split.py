"""How spare CPU is split when everybody wants it: between pods, and inside a pod.

The kernel splits by ``cpu.weight`` at each level of the cgroup tree: Guaranteed pods stand beside the
Burstable and the BestEffort slice, other pods inside their slice, containers inside their pod. The two upper
levels are converted linearly by the kubelet, the lowest quadratically by the runtime, so a ratio of requests
survives between pods and is pressed together between containers.
"""

from collections.abc import Sequence
from typing import Final

from overbook.core.cgroup_values import MIN_SHARES, cpu_shares, cpu_weight_of_kubelet
from overbook.core.qos import QosClass

_BEST_EFFORT_WEIGHT: Final = cpu_weight_of_kubelet(MIN_SHARES)


def shares_of_node(pods: Sequence[tuple[QosClass, int, int]]) -> list[float]:
    """Each pod's part (0–1) of the CPU if all of them want more than there is.

    Args:
        pods: QoS class, CPU request in milli-CPU and ``cpu.weight`` of each.
    """
    requested = sum(milli for quality, milli, _ in pods if quality == "Burstable")
    inside: dict[str, int] = {"Burstable": 0, "BestEffort": 0}
    beside = 0
    for quality, _, weight in pods:
        if quality == "Guaranteed":
            beside += weight
        else:
            inside[quality] += weight
    slices = {"Burstable": cpu_weight_of_kubelet(cpu_shares(requested)), "BestEffort": _BEST_EFFORT_WEIGHT}
    present = sum(weight for name, weight in slices.items() if inside[name])
    total = beside + present
    return [
        weight / total if quality == "Guaranteed" else slices[quality] / total * weight / inside[quality]
        for quality, _, weight in pods
    ]
