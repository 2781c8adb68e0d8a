"""Which annotations with an original CPU request count: a tenant can write them, too.

The webhook notes the submitted CPU request, so that a second pass over the same pod starts from it. Nothing
in an annotation says who wrote it. What it claims decides: a request that is not above the present one only
lowers what the author may have anyway, and a larger one is our own only if the present request is what the
rules make of it. Whoever writes that by hand gets what the claimed request would have got.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from overbook.core.api.override import OverridePolicy
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.limit_range import Bounds
from overbook.core.kubernetes.pod import Pod, ResourceList, ResourceRequirements
from overbook.core.kubernetes.quantity import Quantity, from_raw, parse
from overbook.core.kubernetes.resources import CPU
from overbook.core.override.override import NOTHING, ORIGINAL_POD_REQUEST, original_request_key
from overbook.core.override.rules import LIMITS_CPU, NO_QUANTITIES, REQUESTS_CPU, outcomes

NO_NOTES: Final[Mapping[str, str]] = {}


def believed_notes(pod: Pod, policy: OverridePolicy, bounds: Bounds, pod_bounds: Bounds) -> Mapping[str, str]:
    """The annotations of a pod that keep an original CPU request and may be believed.

    Raises:
        InvalidInput: a quantity that the API server refuses.
    """
    annotations = pod.metadata.annotations
    if not annotations or not policy.cpu_request_to_request_percent:
        return NO_NOTES
    return {
        key: annotations[key]
        for key, written, within in _claims(pod, bounds, pod_bounds)
        if key in annotations and _is_believed(annotations[key], written, policy, within)
    }


def _claims(
    pod: Pod, bounds: Bounds, pod_bounds: Bounds
) -> Iterator[tuple[str, ResourceRequirements, Bounds]]:
    for container in pod.all_containers():
        yield original_request_key(container.name), container.resources or NOTHING, bounds
    if pod.spec.resources is not None:
        yield ORIGINAL_POD_REQUEST, pod.spec.resources, pod_bounds


def _is_believed(noted: str, written: ResourceRequirements, policy: OverridePolicy, bounds: Bounds) -> bool:
    try:
        claimed = parse(noted)
        present = _cpu(written.requests)
        if claimed.digits <= 0:
            return False
        if present is None or not present.digits or claimed.milli() <= present.milli():
            return True
        return _is_own(claimed, present, noted, written, policy, bounds)
    except InvalidInput:
        # The rules say so where they read the container itself; a note is not needed for that.
        return False


def _is_own(
    claimed: Quantity,
    present: Quantity,
    noted: str,
    written: ResourceRequirements,
    policy: OverridePolicy,
    bounds: Bounds,
) -> bool:
    """Whether a first pass over the claimed request would have left the present one."""
    made, _ = outcomes(written, policy, bounds, noted)
    request = parse(made[REQUESTS_CPU].new).milli()
    limit = _cpu(written.limits)
    if LIMITS_CPU in made:
        request = min(request, parse(made[LIMITS_CPU].new).milli())
    elif limit is not None and claimed.milli() > limit.milli():
        return False  # the API server would have refused such a request
    return request == present.milli()


def _cpu(listed: ResourceList | None) -> Quantity | None:
    raw = (listed or NO_QUANTITIES).get(CPU)
    return None if raw is None else from_raw(raw)
