"""HorizontalPodAutoscalers: what a changed request makes of utilisation, which is a share of the request."""

from collections.abc import Iterable, Iterator

import msgspec

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta
from overbook.core.kubernetes.resources import CPU, Amounts


class ScaleTarget(KubeStruct, frozen=True):
    """The workload that an autoscaler scales."""

    kind: str = ""
    name: str = ""


class MetricTarget(KubeStruct, frozen=True):
    """The value that an autoscaler keeps a metric at."""

    average_utilization: int | None = None


class ResourceMetric(KubeStruct, frozen=True):
    """The use of a resource, of all containers or of one."""

    name: str = ""
    target: MetricTarget = MetricTarget()


class MetricSpec(KubeStruct, frozen=True):
    """A metric of an autoscaler."""

    type: str = ""
    resource: ResourceMetric | None = None
    container_resource: ResourceMetric | None = None


class AutoscalerSpec(KubeStruct, frozen=True):
    """What is scaled, and by which metrics; ``autoscaling/v1`` has a CPU percentage alone."""

    scale_target_ref: ScaleTarget = ScaleTarget()
    max_replicas: int | None = None
    metrics: tuple[MetricSpec, ...] | None = None
    target_cpu: int | None = msgspec.field(default=None, name="targetCPUUtilizationPercentage")


class Autoscaler(KubeStruct, frozen=True):
    """A HorizontalPodAutoscaler."""

    metadata: ObjectMeta = ObjectMeta()
    spec: AutoscalerSpec = AutoscalerSpec()

    def targets(self) -> Iterator[tuple[str, int]]:
        """The resources of which it keeps a utilisation, with the percentage."""
        if self.spec.target_cpu is not None:
            yield CPU, self.spec.target_cpu
        for metric in self.spec.metrics or ():
            found = metric.resource or metric.container_resource
            if found is not None and found.target.average_utilization is not None:
                yield found.name, found.target.average_utilization


def utilisation_changes(
    autoscalers: Iterable[Autoscaler],
    owner: tuple[str, str, str],
    before: Amounts,
    after: Amounts,
) -> Iterator[str]:
    """A sentence for each autoscaler whose utilisation is of another request after an override.

    Args:
        autoscalers: the autoscalers of the input.
        owner: kind, namespace and name of the workload.
        before: the pod's requests before the override.
        after: its requests afterwards.
    """
    kind, namespace, name = owner
    for one in autoscalers:
        target = one.spec.scale_target_ref
        if (target.kind, one.metadata.namespace or "default", target.name) != (kind, namespace, name):
            continue
        for resource, percent in one.targets():
            if resource == CPU:
                old, new = before.cpu_milli or 0, after.cpu_milli or 0
            else:
                old, new = before.memory_bytes or 0, after.memory_bytes or 0
            if old == new or not old or not new:
                continue
            times = f"{old / new:.3g}"
            most = f", up to {one.spec.max_replicas} replicas" if one.spec.max_replicas else ""
            scales = "scales out" if new < old else "scales in"
            word = "CPU" if resource == CPU else resource
            yield (
                f"HorizontalPodAutoscaler/{one.metadata.name} keeps {word} at {percent} % of the request: "
                f"the same load is {times} times the utilisation that it was, so it {scales}{most}"
            )
