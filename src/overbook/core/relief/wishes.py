"""What a pod's owner, or another program that evicts, has written into the pod's annotations.

They are the descheduler's annotations, which KubeVirt uses as well; only their presence counts. Sources:
``pkg/framework/plugins/defaultevictor`` and KEP-1397 of the descheduler.
"""

from typing import Final

from overbook.core.kubernetes.pod import Pod

PREFIX: Final = "descheduler.alpha.kubernetes.io/"
PREFER_NO_EVICTION: Final = f"{PREFIX}prefer-no-eviction"
"""The owner asks that other pods are evicted first."""
EVICT: Final = f"{PREFIX}evict"
"""The owner agrees to an eviction: this counts more than :data:`PREFER_NO_EVICTION`."""
EVICTION_IN_PROGRESS: Final = f"{PREFIX}eviction-in-progress"
"""The pod leaves already, in the background: an eviction of it was requested before."""


def goes_last(pod: Pod) -> bool:
    """Whether the pod is evicted only after all others, by its owner's wish."""
    return PREFER_NO_EVICTION in pod.annotations and EVICT not in pod.annotations


def agrees(pod: Pod) -> bool:
    """Whether the pod's owner agrees to an eviction."""
    return EVICT in pod.annotations


def in_progress(pod: Pod) -> bool:
    """Whether an eviction of the pod was requested and goes on in the background."""
    return EVICTION_IN_PROGRESS in pod.annotations
