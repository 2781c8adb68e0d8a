"""The situation: the newest sample and the history before it, as detectors, rank and offload see them."""

from collections.abc import Mapping
from functools import cached_property

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.domain import ShortageDomain, SwapRooms, domains, held_uids
from overbook.core.pressure.history import History
from overbook.core.pressure.model import NodeModel, PodModel, node_model, pod_models, recent


class Situation:
    """One moment of a node, or of one domain of it.

    Models of pods are computed when they are first asked for.

    Args:
        history: the samples up to this moment.
        facts: what is known of the pods, by UID.
        domain: what is looked at, with the pods in it; ``None``: the whole node.
        whole: the situation of the whole node, whose models are used again.
    """

    def __init__(
        self,
        history: History,
        facts: Mapping[str, PodFacts],
        domain: ShortageDomain | None = None,
        whole: "Situation | None" = None,
    ) -> None:
        self.history = history
        self.facts = facts
        self.whole_node: NodeModel = node_model(history.newest.node) if whole is None else whole.whole_node
        """The node's own sizes."""
        self.domain = ShortageDomain(None, "the node", self.whole_node) if domain is None else domain
        self.node = self.domain.sizes
        """The domain's sizes."""
        self._whole = whole
        self._recent: dict[float, dict[str, PodModel]] = {}

    @property
    def now(self) -> float:
        """The moment, in monotonic seconds."""
        return self.history.newest.at_seconds

    @property
    def is_whole(self) -> bool:
        """Whether this is the whole node."""
        return self.domain.path is None

    def domains(self) -> tuple["Situation", ...]:
        """Return the situation of each domain of the node, the tightest first."""
        sample = self.history.newest
        if not sample.limits:
            return (self,)
        swap = {uid: pod.swap_bytes for uid, pod in self.all_pods.items()}
        return tuple(
            self if each.path is None else Situation(self.history, self.facts, each, self)
            for each in domains(sample, swap)
        )

    @cached_property
    def all_pods(self) -> dict[str, PodModel]:
        """All pods of the node, with their changes over the rank's window."""
        return pod_models(self.history.samples) if self._whole is None else self._whole.all_pods

    @cached_property
    def pods(self) -> dict[str, PodModel]:
        """The pods in the domain, with their changes over the rank's window."""
        return self._of_domain(self.all_pods)

    @cached_property
    def swap_rooms(self) -> SwapRooms:
        """How much more can be swapped below each cgroup that limits swap."""
        return SwapRooms(self.history.newest) if self._whole is None else self._whole.swap_rooms

    def pods_over(self, seconds: float) -> dict[str, PodModel]:
        """Return the pods in the domain that have facts, with their changes over the last seconds.

        Args:
            seconds: the window; the rank's window is the longest.
        """
        models = self._recent.get(seconds)
        if models is None:
            if self._whole is not None:
                found = self._of_domain(self._whole.pods_over(seconds))
            else:
                found = pod_models(recent(self.history.samples, seconds))
                found = {uid: pod for uid, pod in found.items() if uid in self.facts}
            models = self._recent[seconds] = found
        return models

    def stalls_per_second(self, seconds: float) -> float | None:
        """Return for how long all work in the domain stalled in each of the last seconds, in µs.

        Where the kernel has no such number of the cgroup, the node's own is a lower bound: no task of the
        node worked then, so none below the cgroup did.
        """
        path, found = self.domain.path, None
        if path is not None:
            found = self.history.limit_per_second(path, "stall_full_micros", seconds, seconds)
        return self.history.per_second("stall_full_micros", seconds, seconds) if found is None else found

    @cached_property
    def _held(self) -> frozenset[str] | None:
        return held_uids(self.history.newest, self.domain.path)

    def _of_domain(self, models: dict[str, PodModel]) -> dict[str, PodModel]:
        held = self._held
        return models if held is None else {uid: pod for uid, pod in models.items() if uid in held}
