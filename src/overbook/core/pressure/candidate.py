"""Candidates: pods that may be evicted, with the numbers by which they are ranked."""

from collections.abc import Mapping

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.model import PodModel, shares


class Candidate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A pod that may be evicted, or is excluded with a reason.

    Attributes:
        uid: the pod's UID.
        label: ``namespace/name``.
        usage_bytes: its working set and its swap.
        over_request_bytes: usage minus its request; negative: within the request.
        over_promise_bytes: usage minus its covered memory (request and swap allowance). Positive: it is
            beyond, and uses what is meant for other pods.
        priority: its Kubernetes priority; higher is evicted later.
        growth_share: its share (0–1) of all pods' growth in the window.
        refault_share: its share (0–1) of all memory that came back from swap in the window.
        excluded: why it must not be chosen; empty if it may be.
        swap_bytes: swap in use.
        growth_bytes_per_second: how fast its usage grew in the window.
        virtual_machine: whether KubeVirt made it for a virtual machine.
    """

    uid: str
    label: str
    usage_bytes: int
    over_request_bytes: int
    over_promise_bytes: int
    priority: int
    growth_share: float = 0.0
    refault_share: float = 0.0
    excluded: str = ""
    swap_bytes: int = 0
    growth_bytes_per_second: int = 0
    virtual_machine: bool = False

    @property
    def blame(self) -> float:
        """The shares of growth and of refaults added up, 0–2."""
        return self.growth_share + self.refault_share

    @property
    def sentence(self) -> str:
        """The numbers by which the pod is ranked, for people."""
        over = self.over_request_bytes / 2**20
        held = f"{over:.0f} MiB over its request" if over > 0 else f"{-over:.0f} MiB within its request"
        return (
            f"{held}, priority {self.priority}, {100 * self.growth_share:.0f} % of the growth, "
            f"{100 * self.refault_share:.0f} % of the refaults"
        )


def why_never(*, critical: bool, own: bool) -> str:
    """Return why a pod is never evicted, whatever it holds; empty if it may be.

    Args:
        critical: whether the pod is critical, static or a mirror pod.
        own: whether the pod is Overbook's.
    """
    if own:
        return "Overbook's own pod"
    return "critical, static or mirror pod" if critical else ""


def covered_bytes(facts: PodFacts, model: PodModel) -> int:
    """The pod's covered memory: its request and its swap allowance.

    The allowance counts, not the limit in force: an agent that only observes finds other programs' limits.
    """
    allowed = facts.swap_allowed_bytes
    return facts.memory_request_bytes + ((model.swap_max_bytes or 0) if allowed is None else allowed)


def swap_room_bytes(facts: PodFacts, model: PodModel) -> int:
    """How much of its memory in RAM a pod may still swap out under its allowance."""
    if facts.swap_allowed_bytes is not None:
        room = max(0, facts.swap_allowed_bytes - model.swap_bytes)
    elif model.swap_room_bytes is not None:
        room = model.swap_room_bytes
    else:
        room = model.swappable_bytes
    return min(room, model.swappable_bytes)


def candidates(
    facts: Mapping[str, PodFacts],
    models: Mapping[str, PodModel],
    excluded: Mapping[str, str],
    window_seconds: float,
) -> list[Candidate]:
    """Make a candidate of each pod that has facts and a model, in no particular order.

    Args:
        facts: what is known of each pod, by UID. A pod without facts is no candidate.
        models: each pod's model, by UID.
        excluded: why pods must not be chosen, by UID.
        window_seconds: the length of the models' window.
    """
    known = {uid: model for uid, model in models.items() if uid in facts}
    growth = shares({uid: model.growth_bytes for uid, model in known.items()})
    refaults = shares({uid: model.refaults for uid, model in known.items()})
    return [
        Candidate(
            uid=uid,
            label=facts[uid].label,
            usage_bytes=model.usage_bytes,
            over_request_bytes=model.usage_bytes - facts[uid].memory_request_bytes,
            over_promise_bytes=model.usage_bytes - covered_bytes(facts[uid], model),
            priority=facts[uid].priority,
            growth_share=growth[uid],
            refault_share=refaults[uid],
            excluded=excluded.get(uid, ""),
            swap_bytes=model.swap_bytes,
            growth_bytes_per_second=int(model.growth_bytes / window_seconds),
            virtual_machine=facts[uid].virtual_machine,
        )
        for uid, model in known.items()
    ]
