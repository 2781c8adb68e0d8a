"""How an override is applied, beside its percentages."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from overbook.core.override_rules import OverridePolicy

Mode = Literal["Observe", "Enforce"]

MODE_ANNOTATION: Final = "overbook.dev/mode"
POD_OPT_OUT_ANNOTATION: Final = "overbook.dev/pod-opt-out"
"""``Allowed``, on an override of OpenShift's kinds, whose schema has no such field."""


class PodResourceOverride(OverridePolicy, frozen=True, gc=False, kw_only=True):
    """The percentages, and how they are applied.

    ``forceSelinuxRelabel`` of the original is ignored: it is no matter of resources.

    Attributes:
        mode: ``Observe`` warns and changes nothing.
        pod_opt_out: whether a pod's own annotation may switch the override off for it.
    """

    mode: Mode = "Enforce"
    pod_opt_out: bool = msgspec.field(default=False, name="podOptOut")


def annotated(settings: PodResourceOverride, annotations: Mapping[str, str] | None) -> PodResourceOverride:
    """The settings as the annotations of the object that holds them change them."""
    if not annotations:
        return settings
    if annotations.get(MODE_ANNOTATION) == "Observe":
        settings = msgspec.structs.replace(settings, mode="Observe")
    if annotations.get(POD_OPT_OUT_ANNOTATION) == "Allowed":
        settings = msgspec.structs.replace(settings, pod_opt_out=True)
    return settings
