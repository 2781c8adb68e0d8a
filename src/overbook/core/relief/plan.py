"""Relief: from all requests and all records to the next step for each node.

Invariant: a victim's UID is in the record, at the API server, before it is asked to go. So at any moment,
whatever was interrupted, the record tells whoever comes next all that may have been done:

- nobody was asked whose UID is not or was not in the record;
- one guest of a node is on its way at a time, and asking it a second time changes nothing;
- a request for which a guest has left gets no second one.

The steps of one node follow each other; what is between two of them is only the doing. Between nodes only
the budgets count (:mod:`overbook.core.relief.budgets`).
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
"""A record may be dated so far ahead of our clock; beyond, the clock that dated it was wrong."""


def plan(cases: Iterable[NodeCase], cluster: ClusterCase, now: float) -> dict[str, Step]:
    """The next step for each node.

    Deterministic: the same arguments give the same steps, whatever their order.

    Args:
        cases: nodes that ask, or whose record has a stage; others need nothing.
        cluster: what applies to all of them.
        now: seconds since the epoch.
    """
    known = sorted(cases, key=lambda case: turn(case, now))
    places = Budgets(known, cluster)
    return {case.name: _next_step(case, cluster, places, now) for case in known}


def _next_step(case: NodeCase, cluster: ClusterCase, places: Budgets, now: float) -> Step:
    record = case.record
    since = from_timestamp(record.stage_since)
    if since is not None and since > now + CLOCK_AHEAD_SECONDS:
        return Write(dated_now(record, now))
    if in_flight(record):
        return follow(case, cluster, now)
    if record.stage == "CoolingDown":
        until = from_timestamp(record.until)
        return Rest(until) if until is not None and now < until else Write(idle(record))
    return choose(case, cluster, places, now)
