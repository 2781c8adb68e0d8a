"""The texts of an admission: short warnings for the author of the pod, one line for the audit log.

``kubectl`` shows each warning; the API server limits a warning to 120 characters, and all together to 4096.
"""

from collections.abc import Iterator
from typing import Final

from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resources import CPU
from overbook.core.override.admission import Admission
from overbook.core.override.fitting import LeftOut
from overbook.core.override.override import Change
from overbook.core.override.reasons import class_change, class_words
from overbook.core.text import shortened

MOST_WARNINGS: Final = 12
MOST_LEFT_OUT: Final = 6
"""The most warnings about what is left out, which come after those about changes."""
LONGEST_WARNING: Final = 120
LONGEST_AUDIT: Final = 2048
_BASES: Final = {
    "MemoryRequestToLimit": "limit",
    "LimitCpuToMemory": "memory limit",
    "CpuRequestToLimit": "limit",
    "CpuRequestToRequest": "request",
}


def warnings(pod: Pod, admission: Admission) -> list[str]:
    """The warnings for the author of the pod; none where the pod is unchanged as expected."""
    source = admission.source.label
    match admission.outcome:
        case "Overridden" | "Observed":
            before = "" if admission.outcome == "Overridden" else "not applied (Observe): "
            named = len(pod.containers) + len(pod.init_containers) > 1
            changes = admission.override.changes
            lost = class_words(*class_change(pod, admission.override))
            texts = [_short(f"{before}{lost}, ", source)] if lost else []
            most = MOST_WARNINGS - len(texts)
            texts += [
                _short(f"{before}{sentence(change, named=named)}, ", source) for change in changes[:most]
            ]
            if len(changes) > most:
                texts.append(f"and {len(changes) - most} more by {source}, see the pod's resources")
            return texts + _left_out(admission, source) if admission.left_out else texts
        case "Inadmissible":
            return [_short(f"not overridden: {admission.detail}, ", source)]
        case "BrokenOverride":
            return [_short(f"not overridden: {source} cannot be used: {admission.detail}")]
    return []


def _left_out(admission: Admission, source: str) -> list[str]:
    texts = [_short(f"{left_out(one)}, ", source) for one in admission.left_out[:MOST_LEFT_OUT]]
    more = len(admission.left_out) - MOST_LEFT_OUT
    return [*texts, f"and {more} more not overridden by {source}"] if more > 0 else texts


def left_out(one: LeftOut) -> str:
    """What an override leaves as it is, as a sentence: ``app: CPU limit not overridden: …``."""
    return f"{'pod' if one.place == 'pod' else one.name}: {one.what} not overridden: {one.why}"


def audit(admission: Admission) -> str:
    """The whole decision as a line for the audit log."""
    return "".join(_audit(admission))[:LONGEST_AUDIT]


def _audit(admission: Admission) -> Iterator[str]:
    yield admission.outcome
    if admission.source.label:
        yield f" {admission.source.label}"
    if admission.detail:
        yield f": {admission.detail}"
    if admission.override.changes:
        yield ": "
        yield "; ".join(sentence(change, named=True) for change in admission.override.changes[:MOST_WARNINGS])
    if admission.left_out:
        yield "; "
        yield "; ".join(map(left_out, admission.left_out[:MOST_WARNINGS]))


def sentence(change: Change, *, named: bool) -> str:
    """A change as a sentence: ``memory request 1Gi -> 512Mi: 50 % of limit``.

    Args:
        change: the change.
        named: whether to name the container.
    """
    whose = "" if not named else "pod: " if change.place == "pod" else f"{change.name}: "
    what = "CPU" if change.resource == CPU else change.resource
    text = f"{whose}{what} {change.part[:-1]} {change.old or 'none'} -> {change.new}: "
    if change.decided == "Limit" and change.rule == "LimitCpuToMemory":
        return f"{text}lowered to the CPU limit"
    text += f"{change.percent} % of {_BASES[change.rule]}"
    match change.decided:
        case "Minimum":
            return f"{text}, raised to minimum of LimitRange/{change.source}"
        case "Maximum":
            return f"{text}, lowered to maximum of LimitRange/{change.source}"
        case "Floor":
            return f"{text}, raised to the rule's minimum"
        case "Containers":
            return f"{text}, raised to what its containers need"
        case "Limit":
            return f"{text}, lowered to the CPU limit"
    return text


def _short(text: str, end: str = "") -> str:
    """Text and end, shortened where they are too long: the end matters more than the middle."""
    if len(text) + len(end) > LONGEST_WARNING:
        end = end[: LONGEST_WARNING // 2 + 20]
    return shortened(text, LONGEST_WARNING - len(end)) + end
