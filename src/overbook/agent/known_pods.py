"""The agent's knowledge of its pods, kept current: facts for the rules, allowances for the containers."""

import logging
from collections.abc import Mapping
from functools import partial

import msgspec

from overbook.agent.source import PodSource
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.resolved import ResolvedPod, resolve
from overbook.core.overcommit.allowance import SwapPolicy, allowances, pod_facts
from overbook.core.overcommit.facts import PodFacts
from overbook.core.overcommit.swap import SwapDecision
from overbook.core.say_once import SayOnce

log = logging.getLogger(__name__)


class KnownPods:
    """Holds facts and allowances of all pods, and computes them again only when pods, RAM or swap changed.

    A pod is resolved once, when it is new or has changed, for all parts of the agent. The other pods cost
    nothing then.

    Args:
        source: where pods come from.
        policy: which pods may swap, and how much.
    """

    def __init__(self, source: PodSource, policy: SwapPolicy) -> None:
        self.source = source
        self._policy = policy
        self._node: tuple[int, int] | None = None
        self._changed = False
        self._refused = SayOnce(partial(log.warning, "pod %s"))
        self._known: dict[str, tuple[ResolvedPod, Mapping[str, str] | None, PodFacts]] = {}
        self.pods: Mapping[str, ResolvedPod] = {}
        """The pods by UID, without those that cannot be resolved. The same mapping while nothing changes."""
        self.facts: Mapping[str, PodFacts] = {}
        self.allowances: Mapping[tuple[str, str], SwapDecision] = {}

    def use_percent(self, percent: int) -> None:
        """Compute with this percentage from now on."""
        if percent != self._policy.percent:
            log.info("memoryOvercommitPercentage is %d now, it was %d", percent, self._policy.percent)
            self._known.clear()
            self._policy = msgspec.structs.replace(self._policy, percent=percent)
            self._node = None

    def look(self) -> None:
        """Look for changes in the source, so that containers have their names before the next sample."""
        self._changed = self.source.refresh() or self._changed

    def refresh_again(self) -> bool:
        """Do the same as :meth:`refresh`, with the RAM and swap of the last call."""
        return self._node is not None and self.refresh(*self._node)

    def refresh(self, node_memory_bytes: int, swap_bytes: int) -> bool:
        """Compute facts and allowances again if pods, RAM or swap changed; returns whether any did."""
        node = (node_memory_bytes, swap_bytes)
        if not self._changed and node == self._node:
            return False
        self._changed = False
        if self._node is not None and node != self._node:
            log.info(
                "the node now has %d MiB of RAM and %d MiB of swap",
                node_memory_bytes // 2**20,
                swap_bytes // 2**20,
            )
        if self._node is None or node_memory_bytes != self._node[0]:
            self._known.clear()
        self._node = node
        known, self._known = self._known, {}
        resolved, pods = self.pods, {}
        for uid, pod in self.source.pods.items():
            labels = self.source.namespaces.get(pod.metadata.namespace or "default")
            try:
                seen = resolved.get(uid)
                if seen is None or seen.pod is not pod:
                    seen = resolve(pod)
                pods[uid] = seen
                before = known.get(uid)
                if before is not None and before[0] is seen and before[1] == labels:
                    self._known[uid] = before
                    continue
                facts_of = pod_facts(seen, node_memory_bytes, self._policy, labels)
                self._known[uid] = (seen, labels, facts_of)
                self._refused.over(uid)
            except InvalidInput as error:
                self._refused(f"{pod.label} is left alone: {error}", about=uid)
        self.pods = pods
        facts = {uid: pod_known[2] for uid, pod_known in self._known.items()}
        self._refused.keep_only(self.source.pods.keys())
        keys = [(uid, container.name) for uid, pod in facts.items() for container in pod.containers]
        containers = [container for pod in facts.values() for container in pod.containers]
        decided = allowances(containers, node_memory_bytes, swap_bytes, self._policy)
        self.allowances = dict(zip(keys, decided, strict=True))
        allowed = dict.fromkeys(facts, 0)
        for (uid, _), decision in self.allowances.items():
            allowed[uid] += decision.swap_max_bytes
        self.facts = {
            uid: msgspec.structs.replace(pod, swap_allowed_bytes=allowed[uid]) for uid, pod in facts.items()
        }
        return True
