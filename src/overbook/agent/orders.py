"""What the agent may do now, and what its cluster says that it has to know."""

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration


class Posture(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent may do now.

    Attributes:
        enforcing: whether it may change anything.
        mode: the mode in force.
        paused: whether a pause is obeyed.
        percent: ``memoryOvercommitPercentage``.
        why: why nothing is changed, for people; empty where it may be.
        unheard: nothing is changed only because it is not known yet whether anything may be. What an agent
            before this one left stays as well, until it is.
        yielding: nothing is changed because another agent does this node's work.
    """

    enforcing: bool
    mode: str
    paused: bool
    percent: int
    why: str = ""
    unheard: bool = False
    yielding: bool = False


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a tick, from its start to its end.

    Attributes:
        posture: what may be done.
        kubelet: what the kubelet says of its configuration; ``None``: not known.
        kubelet_asked: whether it was asked by now, or never will be.
    """

    posture: Posture
    kubelet: KubeletConfiguration | None = None
    kubelet_asked: bool = True
