"""The switch of a namespace: a label today, an annotation in earlier versions."""

from collections.abc import Mapping
from typing import Final

from overbook.core.overcommit.swap import SWAP_LABEL

OUTDATED: Final = f"the annotation {SWAP_LABEL} is no longer read: it has to be a label"
"""What is wrong with a namespace that has the switch of earlier versions."""


def outdated_word(labels: Mapping[str, str] | None, annotations: Mapping[str, str] | None) -> str | None:
    """The value of the switch if a namespace has it only as an annotation; ``None``: it does not."""
    return None if SWAP_LABEL in (labels or {}) else (annotations or {}).get(SWAP_LABEL)


def outdated_fix(namespace: str, word: str) -> str:
    """The command that makes a label of the annotation."""
    return f"kubectl label namespace {namespace} {SWAP_LABEL}={word}"
