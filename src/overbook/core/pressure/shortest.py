"""The domain to decide about: the tightest one in which a rule fires and from which a pod may leave."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from overbook.core.pressure.cold import room_bytes
from overbook.core.pressure.decision import FiredRule
from overbook.core.pressure.offload import Offload
from overbook.core.pressure.ruleset import Rule
from overbook.core.pressure.situation import Situation

Found = list[tuple[Rule, FiredRule]]
"""The rules that fire, with their findings."""


def shortest(
    rules: Sequence[Rule], domains: Sequence[Situation], may_leave: Callable[[Situation], bool]
) -> tuple[Situation, Found]:
    """Return the domain to decide about, and the rules that fire in it.

    A QoS class at its own limit must not hide a node without memory: a domain from which no pod may leave
    comes after those from which one may.

    Args:
        rules: the ruleset's rules.
        domains: the node's domains, the tightest first.
        may_leave: whether a pod of a domain may be evicted.
    """
    firing = [(seen, found) for seen in domains if (found := findings(rules, seen))]
    if not firing:
        return domains[0], []
    if len(firing) == 1:
        return firing[0]
    return next((each for each in firing if may_leave(each[0])), firing[0])


def short_of_reserve(offload: Offload, domains: Sequence[Situation]) -> Situation:
    """Return the first domain that lacks some of its reserve and has memory that can be swapped out."""
    for seen in domains[:-1]:
        if offload.missing_bytes(seen) > 0 and room_bytes(seen) >= seen.node.page_bytes:
            return seen
    return domains[-1]


def findings(rules: Iterable[Rule], seen: Situation) -> Found:
    """Return the rules that fire in a domain; the first one's sentence names it, if it is not the node."""
    found = [(rule, finding) for rule in rules if (finding := _finding(rule, seen))]
    if found and not seen.is_whole:
        rule, first = found[0]
        named = f"{seen.domain.sentence(seen.whole_node)}: {first.sentence}"
        found[0] = (rule, msgspec.structs.replace(first, sentence=named))
    return found


def _finding(rule: Rule, seen: Situation) -> FiredRule | None:
    for group in rule.any:
        readings = []
        for detector in group.all:
            readings.append(detector.read(seen))
            if not readings[-1].holds:
                break
        else:
            numbers = {key: value for reading in readings for key, value in reading.numbers.items()}
            sentence = ", ".join(reading.sentence for reading in readings)
            return FiredRule(rule.title, sentence, numbers, seen.domain.path)
    return None
