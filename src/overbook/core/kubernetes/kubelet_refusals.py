"""Settings with which a kubelet of some version does not start, among those for swap and memory.

A kubelet that runs had other settings when it started, or is of another version than the one that comes: in
both cases its next start fails. Sources: ``pkg/features/kube_features.go``,
``pkg/kubelet/apis/config/validation`` and ``pkg/kubelet/eviction/helpers.go`` at v1.36; KEP-2400 and KEP-2570
for what changed before and after. Gates that are not listed are not judged.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from overbook.core.kubernetes.kubelet import KubeletConfiguration

NO_SWAP_KNOWN: Final = 30
"""From this minor version on ``NoSwap`` is a word of ``swapBehavior``, and ``UnlimitedSwap`` is none."""
SWAP_GATE_LOCKED: Final = 34
SWAP_GATE_GONE: Final = 37
NEWEST_KNOWN: Final = 37
"""The newest minor version whose words for ``swapBehavior`` are known here."""
_UNLIMITED: Final = "UnlimitedSwap"
_POLICIES: Final = frozenset({"", "None", "TieredReservation"})
_ENFORCED: Final = frozenset(
    {
        "pods",
        "system-reserved",
        "kube-reserved",
        "system-reserved-compressible",
        "kube-reserved-compressible",
        "none",
    }
)


class Gate(NamedTuple):
    """A feature gate of the kubelet, with the minor versions at which it changes.

    Attributes:
        since: the first that knows it.
        locked: the first that accepts only true; ``None``: none does.
        gone: the first that does not know it any more; ``None``: none is known.
    """

    since: int
    locked: int | None = None
    gone: int | None = None


GATES: Final[Mapping[str, Gate]] = {
    "InPlacePodVerticalScaling": Gate(27, 35),
    "KubeletCgroupDriverFromCRI": Gate(28, 34),
    "KubeletInUserNamespace": Gate(22),
    "KubeletPSI": Gate(33, 36),
    "MemoryQoS": Gate(22),
    "NodeDeclaredFeatures": Gate(35),
    "NodeSwap": Gate(22, SWAP_GATE_LOCKED, SWAP_GATE_GONE),
    "PodAndContainerStatsFromCRI": Gate(23),
    "PodLevelResources": Gate(32),
    "QOSReserved": Gate(11),
}


class RefusedSetting(NamedTuple):
    """A setting with which the kubelet does not start.

    Attributes:
        sentence: the setting, and why it is refused.
        fix: the setting with which the kubelet starts.
    """

    sentence: str
    fix: str


def refusals(kubelet: KubeletConfiguration, minor: int | None) -> Iterator[RefusedSetting]:
    """The settings that a kubelet 1.`minor` refuses; ``None``: those that every version refuses."""
    yield from _gates(kubelet.feature_gates or {}, minor)
    yield from _swap(kubelet, minor)
    yield from _eviction(kubelet)
    yield from _memory_qos(kubelet, minor)
    for key in kubelet.enforce_node_allocatable or ():
        if key and key not in _ENFORCED:
            yield RefusedSetting(
                f"enforceNodeAllocatable has {key}, which no kubelet knows", f"remove {key} from it"
            )


def no_swap_fix(kubelet: KubeletConfiguration, minor: int | None) -> str:
    """How this kubelet is made to give pods no swap while it tolerates swap, in settings that it knows."""
    if minor is not None and minor >= NO_SWAP_KNOWN:
        return "set memorySwap.swapBehavior: NoSwap"
    what = (
        "memorySwap and the feature gate NodeSwap"
        if "NodeSwap" in (kubelet.feature_gates or {})
        else "memorySwap"
    )
    if minor is None:
        return f"remove {what}, or set memorySwap.swapBehavior: NoSwap from 1.{NO_SWAP_KNOWN} on"
    return f"remove {what}: before 1.{NO_SWAP_KNOWN} there is no NoSwap"


def refused_later(kubelet: KubeletConfiguration, minor: int | None) -> Iterator[RefusedSetting]:
    """The settings that a later version refuses; with `minor` ``None`` that may be this one."""
    for name, on in (kubelet.feature_gates or {}).items():
        gate = GATES.get(name, Gate(0))
        whose = "the kubelet's version is not known here" if minor is None else f"this kubelet is 1.{minor}"
        if gate.locked is not None and not on and (minor is None or minor < gate.locked):
            yield RefusedSetting(
                f"from 1.{gate.locked} on no kubelet starts with the feature gate {name}: false; {whose}",
                f"remove {name} from featureGates before an update to 1.{gate.locked}",
            )
        elif gate.gone is not None and gate.locked is not None and (minor is None or minor < gate.gone):
            yield RefusedSetting(
                f"from 1.{gate.gone} on no kubelet starts with the feature gate {name}; {whose}",
                f"remove {name} from featureGates once the kubelet is 1.{gate.locked} or newer",
            )


def _gates(gates: Mapping[str, bool], minor: int | None) -> Iterator[RefusedSetting]:
    if minor is None:
        return
    for name, on in gates.items():
        gate = GATES.get(name)
        if gate is None:
            continue
        fix = f"remove {name} from featureGates"
        if minor < gate.since:
            yield RefusedSetting(f"the feature gate {name} is not known before 1.{gate.since}", fix)
        elif gate.gone is not None and minor >= gate.gone:
            yield RefusedSetting(f"the feature gate {name} is not known any more from 1.{gate.gone} on", fix)
        elif gate.locked is not None and minor >= gate.locked and not on:
            yield RefusedSetting(
                f"the feature gate {name} cannot be switched off from 1.{gate.locked} on", fix
            )


def _swap(kubelet: KubeletConfiguration, minor: int | None) -> Iterator[RefusedSetting]:
    behavior = kubelet.memory_swap.swap_behavior
    gate = (kubelet.feature_gates or {}).get("NodeSwap")
    if behavior == _UNLIMITED and (minor is None or minor >= NO_SWAP_KNOWN):
        yield RefusedSetting(
            f"swapBehavior {_UNLIMITED} is refused from 1.{NO_SWAP_KNOWN} on; before, it gives every "
            "container all swap",
            no_swap_fix(kubelet, minor),
        )
    elif behavior == "NoSwap" and minor is not None and minor < NO_SWAP_KNOWN:
        yield RefusedSetting(
            f"swapBehavior NoSwap is not known before 1.{NO_SWAP_KNOWN}", no_swap_fix(kubelet, minor)
        )
    elif (
        behavior not in {"", "NoSwap", "LimitedSwap", _UNLIMITED}
        and minor is not None
        and minor <= NEWEST_KNOWN
    ):
        yield RefusedSetting(
            f"swapBehavior {behavior} is not known to version 1.{minor}", no_swap_fix(kubelet, minor)
        )
    if behavior and minor is not None and minor < SWAP_GATE_GONE:
        on = gate if gate is not None else minor >= NO_SWAP_KNOWN
        if not on and minor < SWAP_GATE_LOCKED:
            yield RefusedSetting(
                "memorySwap.swapBehavior is set while the feature gate NodeSwap is off",
                "remove memorySwap"
                if gate is None
                else "set the feature gate NodeSwap: true, or remove memorySwap",
            )


def _eviction(kubelet: KubeletConfiguration) -> Iterator[RefusedSetting]:
    graces = kubelet.eviction_soft_grace_period or {}
    for signal in kubelet.eviction_soft or {}:
        if signal not in graces:
            yield RefusedSetting(
                f"evictionSoft has {signal} without a time in evictionSoftGracePeriod",
                f"set {signal} in evictionSoftGracePeriod, such as 1m30s",
            )


def _memory_qos(kubelet: KubeletConfiguration, minor: int | None) -> Iterator[RefusedSetting]:
    policy, factor = kubelet.memory_reservation_policy, kubelet.memory_throttling_factor
    if policy not in _POLICIES and minor is not None and minor <= NEWEST_KNOWN:
        yield RefusedSetting(
            f"memoryReservationPolicy {policy} is not known to version 1.{minor}",
            "set memoryReservationPolicy: None or TieredReservation",
        )
    if policy == "TieredReservation" and minor is not None and not kubelet.has_memory_qos(minor):
        yield RefusedSetting(
            "memoryReservationPolicy TieredReservation is set while the feature gate MemoryQoS is off",
            "set memoryReservationPolicy: None, or the feature gate MemoryQoS: true",
        )
    if factor is not None and not 0 < factor <= 1:
        yield RefusedSetting(
            f"memoryThrottlingFactor {factor} is not above 0 and at most 1", "set memoryThrottlingFactor: 0.9"
        )
