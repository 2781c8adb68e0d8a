"""Throttle: a VM that is to blame and is never evicted is held to its request, so that no other has to leave.

Evicting others would only feed it. Its ``memory.high`` is lowered step by step to its request: the kernel
then swaps the VM's own memory, as far as its allowance goes, and slows down the VM, not its neighbours
(kernel Documentation/admin-guide/cgroup-v2.rst: going over ``memory.high`` never invokes the OOM killer).
Only VMs: a node's critical daemons must not be slowed down.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from overbook.core.pressure.candidate import CRITICAL, Candidate, covered_bytes
from overbook.core.pressure.patience import blame_of
from overbook.core.pressure.situation import Situation

STEP_PERCENT: Final = 1.0
"""The share of RAM by which the limit falls in a tick: the kernel swaps that out before the write returns."""


def never_evicted_culprit(ranked: Sequence[Candidate], memory_bytes: int) -> tuple[Candidate | None, float]:
    """Return the VM that is never evicted and more to blame than all that may be, and how far, 0 to 1.

    Args:
        ranked: the candidates; the excluded ones last.
        memory_bytes: the node's RAM.
    """
    if any(candidate.beyond_bytes > 0 and not candidate.excluded for candidate in ranked):
        return None, 0.0
    held = [
        candidate
        for candidate in ranked
        if candidate.excluded == CRITICAL and candidate.virtual_machine and candidate.beyond_bytes > 0
    ]
    if not held:
        return None, 0.0
    worst = max(held, key=lambda candidate: (candidate.burden_bytes, candidate.label))
    return worst, blame_of(worst, ranked, memory_bytes)


def lowered(limits: Mapping[str, int], seen: Situation) -> dict[str, int]:
    """Return the next limits of the throttled pods; one that is within its covered memory again has none.

    Args:
        limits: each throttled pod's ``memory.high`` in bytes, by UID; 0: none is set yet.
        seen: the node and its pods.
    """
    step = int(seen.whole_node.memory_total_bytes * STEP_PERCENT / 100)
    found = {}
    for uid, limit in limits.items():
        model, facts = seen.all_pods.get(uid), seen.facts.get(uid)
        if model is not None and facts is not None and model.lasting_bytes > covered_bytes(facts, model):
            found[uid] = max(facts.memory_request_bytes, (limit or model.working_set_bytes) - step)
    return found
