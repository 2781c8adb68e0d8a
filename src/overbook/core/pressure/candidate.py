"""Pods that could be asked to go, with the numbers that place them."""

from collections.abc import Mapping

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.model import PodModel, shares


class Candidate(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """A pod that could be asked to go.

    Attributes:
        uid: its UID.
        label: ``namespace/name``.
        usage_bytes: memory and swap together.
        over_request_bytes: usage beyond its request; negative: within it.
        over_promise_bytes: usage beyond its request and its swap allowance together, which is what the node
            can hold of it; positive: it takes what was promised to others.
        priority: its priority.
        growth_share: its part (0–1) of all growth in the window.
        refault_share: its part (0–1) of all memory that came back from swap in the window.
        excluded: why it is never chosen; empty where it may be.
        swap_bytes: swap in use.
        growth_bytes_per_second: how fast it took memory in the window.
        virtual_machine: made by KubeVirt for a virtual machine.
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
        """Both shares together, 0–2."""
        return self.growth_share + self.refault_share

    @property
    def sentence(self) -> str:
        """The numbers that count, for people."""
        over = self.over_request_bytes / 2**20
        held = f"{over:.0f} MiB over its request" if over > 0 else f"{-over:.0f} MiB within its request"
        return (
            f"{held}, priority {self.priority}, {100 * self.growth_share:.0f} % of the growth, "
            f"{100 * self.refault_share:.0f} % of the refaults"
        )


def why_never(*, critical: bool, own: bool) -> str:
    """Why a pod is never evicted, whatever it holds; empty where it may be.

    Args:
        critical: whether the pod is critical, static or a mirror pod.
        own: whether the pod is Overbook's.
    """
    if own:
        return "Overbook's own pod"
    return "critical, static or mirror pod" if critical else ""


def promised_bytes(facts: PodFacts, model: PodModel) -> int:
    """What the node can hold of a pod: its request and its swap allowance.

    The allowance counts, not the limit in force: an agent that only observes finds limits of others there.
    """
    allowed = facts.swap_allowed_bytes
    return facts.memory_request_bytes + ((model.swap_max_bytes or 0) if allowed is None else allowed)


def swap_room_bytes(facts: PodFacts, model: PodModel) -> int:
    """How much of what a pod has in RAM its allowance still lets it swap."""
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
    """Every pod that is known and runs, in no particular order.

    Args:
        facts: what is known of each pod, by UID. A pod without facts is nobody's to judge.
        models: what each pod does, by UID.
        excluded: why a pod must not be chosen, by UID.
        window_seconds: over which the models saw growth.
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
            over_promise_bytes=model.usage_bytes - promised_bytes(facts[uid], model),
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
