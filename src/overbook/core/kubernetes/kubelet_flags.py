"""The kubelet's flags for swap and memory: how they are read, and the fields that they set.

A flag wins over files and drop-ins. A flag of pairs replaces the whole map of the files, apart from feature
gates, which are merged into it; given several times, its values add up. Source: ``cmd/kubelet/app/options``
and ``k8s.io/component-base/cli/flag`` at v1.36.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from overbook.core.errors import InvalidInput

_BOOLEANS: Final[Mapping[str, str]] = {
    "fail-swap-on": "failSwapOn",
    "protect-kernel-defaults": "protectKernelDefaults",
    "cpu-cfs-quota": "cpuCFSQuota",
}
_PAIRS: Final[Mapping[str, str]] = {
    "eviction-hard": "evictionHard",
    "eviction-soft": "evictionSoft",
    "eviction-soft-grace-period": "evictionSoftGracePeriod",
    "feature-gates": "featureGates",
    "kube-reserved": "kubeReserved",
    "qos-reserved": "qosReserved",
    "system-reserved": "systemReserved",
}
_LISTS: Final[Mapping[str, str]] = {"enforce-node-allocatable": "enforceNodeAllocatable"}
_NUMBERS: Final[Mapping[str, str]] = {"image-gc-high-threshold": "imageGCHighThresholdPercent"}
_TEXTS: Final[Mapping[str, str]] = {"cgroup-driver": "cgroupDriver"}
_LESS_THAN: Final = frozenset({"eviction-hard", "eviction-soft"})
"""Flags whose pairs are written ``signal<quantity``."""
_ADD_UP: Final = frozenset({*_PAIRS, *_LISTS})


def parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """The flags ``--name=value``, ``--name value`` and ``--name`` of a command line, without dashes.

    Of a flag that is given several times the last value counts; pairs and lists add up, separated by commas.
    """
    flags = dict[str, str]()
    for number, word in enumerate(arguments):
        if not word.startswith("-") or not word.strip("-"):
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("_", "-")
        if not equals:
            following = arguments[number + 1] if number + 1 < len(arguments) else "-"
            value = "true" if following.startswith("-") else following
        flags[name] = f"{flags[name]},{value}" if name in _ADD_UP and name in flags else value
    return flags


def with_flags(fields: Mapping[str, Any], flags: Mapping[str, str]) -> dict[str, Any]:
    """Fields of a configuration, changed by the flags.

    Raises:
        InvalidInput: a flag's value has not the right form.
    """
    merged = dict(fields)
    merged.update((field, _boolean(flag, flags[flag])) for flag, field in _BOOLEANS.items() if flag in flags)
    merged.update((field, flags[flag]) for flag, field in _TEXTS.items() if flag in flags)
    for flag, field in _NUMBERS.items():
        if flag in flags:
            merged[field] = _number(flag, flags[flag])
    for flag, field in _LISTS.items():
        if flag in flags:
            merged[field] = [part.strip() for part in flags[flag].split(",") if part.strip()]
    for flag, field in _PAIRS.items():
        if flag in flags:
            pairs = _pairs(flag, flags[flag])
            merged[field] = {**(merged.get(field) or {}), **pairs} if field == "featureGates" else pairs
    return merged


def _boolean(flag: str, text: str) -> bool:
    words = {"true": True, "1": True, "t": True, "": True, "false": False, "0": False, "f": False}
    value = words.get(text.lower())
    if value is None:
        raise InvalidInput(f"kubelet flag --{flag}", text, "true or false")
    return value


def _number(flag: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(f"kubelet flag --{flag}", text, "a whole number")
    return int(text[:9])


def _pairs(flag: str, text: str) -> dict[str, Any]:
    """``a=1,b=2``, or ``a<1,b<2``, as a mapping; a feature gate's values are true or false."""
    pairs = dict[str, Any]()
    between = "<" if flag in _LESS_THAN else "="
    for part in filter(None, text.split(",")):
        key, found, value = part.partition(between)
        if not found:
            raise InvalidInput(f"kubelet flag --{flag}", text, f"key{between}value, separated by commas")
        pairs[key.strip()] = _boolean(flag, value.strip()) if flag == "feature-gates" else value.strip()
    return pairs
