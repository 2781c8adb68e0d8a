"""The plan of relief: the next step for each node, from all relief requests and all relief records.

Invariant: a pod's UID is in the node's record, at the API server, before that pod is evicted. So whatever
was interrupted, the record shows the next leader everything that may have been done:

- no pod was evicted whose UID is not, or was not, in the record;
- one pod of a node is leaving at a time, and sending its eviction again changes nothing;
- after a pod has left for a request, no other one is evicted for it.

Each node has one next step. Carrying it out changes the objects from which the next plan is computed; no
other state is kept.

For each node, in this order:

1. A record from a clock that was ahead is dated now.
2. A pod is leaving: follow it (:mod:`overbook.core.relief.follow`).
3. The last pod has just left: rest until its effect had time to show.
4. Otherwise: choose the pod to evict, if the node requests relief (:mod:`overbook.core.relief.choose`).

Nodes affect each other only through the budgets (:mod:`overbook.core.relief.budgets`), in which the node
that has waited longest comes first.
"""

from collections.abc import Iterable
from typing import Final

from overbook.core.relief.budgets import Budgets, turn
from overbook.core.relief.case import ClusterCase, NodeCase, Rest, Step, Write
from overbook.core.relief.choose import choose
from overbook.core.relief.follow import follow
from overbook.core.relief.record import dated_now, idle, in_flight
from overbook.core.timestamp import from_timestamp

CLOCK_AHEAD_SECONDS: Final = 60.0
"""A record dated further ahead than this was dated by a wrong clock."""


def plan(cases: Iterable[NodeCase], cluster: ClusterCase, now: float) -> dict[str, Step]:
    """Compute the next step for each node.

    Deterministic: the same arguments give the same steps, whatever the order of the cases.

    Args:
        cases: nodes that request relief, or whose record has a stage; other nodes need no step.
        cluster: what applies to all nodes.
        now: seconds since the epoch.
    """
    known = sorted(cases, key=lambda case: turn(case, now))
    budgets = Budgets(known, cluster)
    return {case.name: _next_step(case, cluster, budgets, now) for case in known}


def _next_step(case: NodeCase, cluster: ClusterCase, budgets: Budgets, now: float) -> Step:
    record = case.record
    since = from_timestamp(record.stage_since)
    if since is not None and since > now + CLOCK_AHEAD_SECONDS:
        return Write(dated_now(record, now))
    if in_flight(record):
        return follow(case, cluster, now)
    if record.stage == "CoolingDown":
        until = from_timestamp(record.until)
        return Rest(until) if until is not None and now < until else Write(idle(record))
    return choose(case, cluster, budgets, now)
