"""Kubernetes' version, for the rules that differ between versions."""

import re
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput

_WRITTEN: Final = re.compile(r"v?([0-9]{1,3})\.([0-9]{1,3})(?:[.+-].*)?")


class KubernetesVersion(msgspec.Struct, frozen=True, order=True, gc=False):
    """A minor version of Kubernetes, such as 1.36."""

    major: int
    minor: int

    @property
    def text(self) -> str:
        """The version as people write it: ``1.36``."""
        return f"{self.major}.{self.minor}"


PINNED: Final = KubernetesVersion(1, 36)
"""The version whose source the rules follow, and that the tests run."""

POD_LEVEL: Final = KubernetesVersion(1, 34)
"""Before this version the API server drops ``spec.resources`` of a pod (gate PodLevelResources)."""
POD_LEVEL_FIXED: Final = KubernetesVersion(1, 37)
"""From this version on pod-level limits are defaulted from the containers', and pod-level resources without
any supported resource count as none. (The gates are PodLevelResourcesFixDefaulting and
PodLevelResourcesFixKubeletQOSClass.)
"""


def kubernetes_version(text: str, where: str) -> KubernetesVersion:
    """The version that a text names, such as ``1.36`` or ``v1.37.2+k3s1``.

    Args:
        text: the text.
        where: the option or field, for the message.

    Raises:
        InvalidInput: the text is no version.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(where, text, "a version of Kubernetes, such as 1.36")
    return KubernetesVersion(int(match[1]), int(match[2]))
