"""Labels and annotations of a namespace that change what Overbook does with its pods."""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.overcommit.namespace import OUTDATED, outdated_word
from overbook.core.overcommit.swap import SWAP_LABEL
from overbook.core.override.admission import ENABLED_LABEL, SWITCH_ANNOTATION

_NO_EFFECT: Final = "this value has no effect"
_SWAP: Final = {
    "enabled": "its Burstable pods may swap, virtual machines or not",
    "disabled": "none of its pods may swap",
}


class Mark(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A label or an annotation of a namespace.

    Attributes:
        name: its key.
        value: its value.
        sentence: its effect.
    """

    name: str
    value: str
    sentence: str


def marks(labels: Mapping[str, str] | None, annotations: Mapping[str, str] | None) -> tuple[Mark, ...]:
    """The labels and annotations of a namespace that matter here, with the effect of each."""
    found = []
    if (swap := (labels or {}).get(SWAP_LABEL)) is not None:
        found.append(Mark(SWAP_LABEL, swap, _SWAP.get(swap, _NO_EFFECT)))
    elif (old := outdated_word(labels, annotations)) is not None:
        found.append(Mark(SWAP_LABEL, old, OUTDATED))
    if (label := (labels or {}).get(ENABLED_LABEL)) is not None:
        meaning = "requests are overridden at admission" if label == "true" else _NO_EFFECT
        found.append(Mark(ENABLED_LABEL, label, meaning))
    if (switch := (annotations or {}).get(SWITCH_ANNOTATION)) is not None:
        meaning = (
            _NO_EFFECT if switch == "true" else "requests are not overridden, even if the label enables that"
        )
        found.append(Mark(SWITCH_ANNOTATION, switch, meaning))
    return tuple(found)
