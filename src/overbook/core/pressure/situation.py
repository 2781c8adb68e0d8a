"""The situation: the newest sample and the history before it, as detectors, rank and offload see them."""

from collections.abc import Mapping
from functools import cached_property

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.history import History
from overbook.core.pressure.model import PodModel, node_model, pod_models, recent


class Situation:
    """One moment of a node. Models of the pods are computed when they are first asked for.

    Args:
        history: the samples up to this moment.
        facts: what is known of the pods, by UID.
    """

    def __init__(self, history: History, facts: Mapping[str, PodFacts]) -> None:
        self.history = history
        self.facts = facts
        self.node = node_model(history.newest.node)
        self._recent: dict[float, dict[str, PodModel]] = {}

    @property
    def now(self) -> float:
        """The moment, in monotonic seconds."""
        return self.history.newest.at_seconds

    @cached_property
    def pods(self) -> dict[str, PodModel]:
        """All pods, with their changes over the rank's window."""
        return pod_models(self.history.samples)

    def pods_over(self, seconds: float) -> dict[str, PodModel]:
        """Return the pods that have facts, with their changes over the last seconds.

        Args:
            seconds: the window; the rank's window is the longest.
        """
        models = self._recent.get(seconds)
        if models is None:
            found = pod_models(recent(self.history.samples, seconds))
            models = self._recent[seconds] = {uid: pod for uid, pod in found.items() if uid in self.facts}
        return models
