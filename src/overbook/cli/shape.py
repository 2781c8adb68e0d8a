"""Pods that differ in nothing that a rule looks at: described once, however many there are.

A cluster's ten thousand pods are a few hundred workloads' replicas.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.pod import MIRROR_ANNOTATION, SOURCE_ANNOTATION
from overbook.core.swap import SWAP_ANNOTATION
from overbook.core.vm import owning_instance
from overbook.core.vm_overhead import OVERHEAD_ANNOTATION
from overbook.kube.inventory import Found

Shape = tuple[object, ...]
_ANNOTATIONS: Final = (MIRROR_ANNOTATION, SOURCE_ANNOTATION, SWAP_ANNOTATION, OVERHEAD_ANNOTATION)
"""The annotations that a rule looks at."""
_ENCODER: Final = msgspec.msgpack.Encoder()


def shape_of(found: Found, namespace_annotations: Mapping[str, str] | None) -> Shape:
    """What rules can tell of the pod: equal shapes get equal answers.

    Args:
        found: the pod.
        namespace_annotations: of its namespace, where they are known.
    """
    pod = found.pod
    spec = pod.spec
    if spec.node_name is not None:
        spec = msgspec.structs.replace(spec, node_name=None)
    annotations = pod.metadata.annotations
    return (
        _ENCODER.encode(spec),
        tuple(annotations.get(name) for name in _ANNOTATIONS) if annotations else None,
        owning_instance(pod) is not None,
        # The same object, not an equal one: each VM has its own.
        None if found.vmi is None else id(found.vmi),
        found.instancetype,
        (namespace_annotations or {}).get(SWAP_ANNOTATION),
    )
