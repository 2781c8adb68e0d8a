"""What the agent may do now, and what else it has to know from its cluster."""

from typing import Final

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration

OBSERVING: Final = "mode Observe: nothing is done, no pod is evicted"
"""Why an agent in Observe changes nothing, for people."""


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent may do now.

    Attributes:
        enforcing: whether the agent may change anything.
        mode: the mode in force.
        paused: whether the agent is paused.
        percent: ``memoryOvercommitPercentage``.
        why: why nothing may be changed, for people; empty: it may.
        mode_unknown: the API has not answered yet, so the mode is not known. Nothing is changed, and the
            previous agent's request stays.
        yielding: nothing is changed because another agent does this node's work.
    """

    enforcing: bool
    mode: str
    paused: bool
    percent: int
    why: str = ""
    mode_unknown: bool = False
    yielding: bool = False


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The orders for one tick, from its start to its end.

    Attributes:
        posture: what the agent may do.
        kubelet: the configuration that the kubelet reports; ``None``: not known.
        kubelet_asked: whether the kubelet has been asked by now, or never will be.
        kubelet_minor: the minor version of the kubelet 1.x; ``None``: not known.
    """

    posture: Posture
    kubelet: KubeletConfiguration | None = None
    kubelet_asked: bool = True
    kubelet_minor: int | None = None
