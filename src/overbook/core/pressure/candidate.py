"""Candidates: pods that may be evicted, with the numbers by which they are ranked."""

from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.overcommit.facts import PodFacts
from overbook.core.pressure.model import PodModel, shares

KERNEL_SHARE: Final = 0.01
"""The kernel's own memory for a pod's memory: page tables have 8 bytes for a page of 4096, those of KVM as
much again (0.4 %), and the slab pages of its tasks, files and sockets are charged to the pod as well."""
KERNEL_BYTES: Final = 4 * 2**20
"""What does not grow with the pod. The kernel charges 64 pages ahead on each CPU that a pod runs on, and the
swap cache of ``memory.stat`` lags as many behind: 512 KiB for a CPU, and a pod runs on a few at a time."""
CRITICAL: Final = "critical, static or mirror pod"
"""Why such a pod is excluded."""
HORIZON_SECONDS: Final = 10.0
"""How far ahead growth and refaults count: about as long as an eviction takes."""
PAGE_BYTES: Final = 4096
"""The page size of most kernels, for recordings that do not name it."""


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
        beyond_bytes: how much it holds beyond its covered memory and the kernel's margin; 0: it is within.
        refaults_per_second: pages of it that came back from swap in the window, per second.
        page_bytes: the kernel's page size.
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
    beyond_bytes: int = 0
    refaults_per_second: float = 0.0
    page_bytes: int = PAGE_BYTES

    @property
    def burden_bytes(self) -> float:
        """What its going spares the others: what it holds beyond, and would take and read back soon."""
        per_second = self.growth_bytes_per_second + self.refaults_per_second * self.page_bytes
        return self.beyond_bytes + HORIZON_SECONDS * per_second

    @property
    def blame(self) -> float:
        """The shares of growth and of refaults added up, 0–2."""
        return self.growth_share + self.refault_share

    @property
    def sentence(self) -> str:
        """The numbers by which the pod is ranked, for people."""
        over = self.over_request_bytes / 2**20
        held = f"{over:.0f} MiB over its request" if over > 0 else f"{-over:.0f} MiB within its request"
        if self.beyond_bytes > 0:
            held += f" and {self.beyond_bytes / 2**20:.0f} MiB beyond its covered memory"
        elif over > 0:
            held += ", within its covered memory"
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
    return CRITICAL if critical else ""


def covered_bytes(facts: PodFacts, model: PodModel) -> int:
    """The pod's covered memory: its request, and its swap allowance as far as the cgroups above have it.

    The allowance counts, not the limit in force: an agent that only observes finds other programs' limits on
    containers. A limit above the containers is nobody's allowance: what it refuses stays in RAM, which others
    request. The limit bounds, not what is left of it: a pod is not beyond because others have swapped.
    """
    allowed = facts.swap_allowed_bytes
    swap = (model.swap_max_bytes or 0) if allowed is None else allowed
    if model.swap_bound_bytes is not None:
        swap = min(swap, model.swap_bound_bytes)
    return facts.memory_request_bytes + swap


def margin_bytes(covered: int) -> int:
    """How much more than its covered memory a pod may hold and still be within: what the kernel adds."""
    return KERNEL_BYTES + int(covered * KERNEL_SHARE)


def beyond_bytes(facts: PodFacts, model: PodModel) -> int:
    """How much a pod holds beyond its covered memory and the margin; 0: it is within.

    Page cache does not count: the kernel drops it when memory is short.
    """
    covered = covered_bytes(facts, model)
    return max(0, model.lasting_bytes - covered - margin_bytes(covered))


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
    page_bytes: int = PAGE_BYTES,
) -> list[Candidate]:
    """Make a candidate of each pod that has facts and a model, in no particular order.

    Args:
        facts: what is known of each pod, by UID. A pod without facts is no candidate.
        models: each pod's model, by UID.
        excluded: why pods must not be chosen, by UID.
        page_bytes: the kernel's page size.
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
            growth_bytes_per_second=int(model.growth_bytes_per_second),
            virtual_machine=facts[uid].virtual_machine,
            beyond_bytes=beyond_bytes(facts[uid], model),
            refaults_per_second=model.refaults_per_second,
            page_bytes=page_bytes,
        )
        for uid, model in known.items()
    ]
