"""RuntimeClasses: the overhead that a pod gets from its class at admission.

Source: ``plugin/pkg/admission/runtimeclass`` at v1.36; KEP-688.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from overbook.core.kubernetes.pod import KubeStruct, ObjectMeta, Pod, ResourceList


class RuntimeOverhead(KubeStruct, frozen=True):
    """The resources that the runtime itself needs for each pod."""

    pod_fixed: ResourceList | None = None


class RuntimeClass(KubeStruct, frozen=True):
    """A RuntimeClass."""

    metadata: ObjectMeta = ObjectMeta()
    handler: str = ""
    overhead: RuntimeOverhead | None = None


def with_overhead(pod: Pod, classes: Mapping[str, RuntimeClass]) -> Pod:
    """A pod with the overhead of its RuntimeClass; one of which the class is not known stays as it is."""
    found = classes.get(pod.spec.runtime_class_name or "")
    if found is None or found.overhead is None or pod.spec.overhead is not None:
        return pod
    return replace(pod, spec=replace(pod.spec, overhead=found.overhead.pod_fixed))


def overhead_complaint(pod: Pod, classes: Mapping[str, RuntimeClass]) -> str:
    """Why the API server refuses the overhead that a pod was submitted with; empty: it does not.

    Args:
        pod: the pod as submitted.
        classes: the RuntimeClasses that are known, by name.
    """
    written = pod.spec.overhead
    name = pod.spec.runtime_class_name or ""
    found = classes.get(name)
    if not written or (name and found is None):
        return ""
    if found is None or found.overhead is None:
        return "spec.overhead is set, and no RuntimeClass of the pod defines it"
    if written != found.overhead.pod_fixed:
        return f"spec.overhead differs from that of RuntimeClass/{name}"
    return ""
