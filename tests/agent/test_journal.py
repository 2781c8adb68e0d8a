from overbook.agent.journal import KEPT_DECISIONS, KEPT_PODS, KEPT_WHOLE, DecisionJournal
from overbook.core.pressure.candidate import Candidate
from overbook.core.pressure.decision import Decision, FiredRule, ReclaimStep


def decided(number: int, pods: int) -> Decision:
    candidates = tuple(Candidate(f"uid-{each}", f"shop/vm-{each}", each, each, 0, 0) for each in range(pods))
    steps = tuple(ReclaimStep(each.uid, each.label, 4096) for each in candidates)
    finding = FiredRule("swap-full", "97 % of swap is in use", {"percent": 97.0})
    return Decision(number, 1e9, (finding,), "relieve", "first", steps, candidates[0], candidates)


def test_only_the_latest_decisions_keep_all_candidates() -> None:
    journal = DecisionJournal()
    for number in range(1, 21):
        journal.decided(decided(number, 250))

    whole = [decision for decision in journal.decisions if len(decision.candidates) == 250]
    older = [decision for decision in journal.decisions if decision not in whole]
    assert [decision.number for decision in whole] == [*range(21 - KEPT_WHOLE, 21)]
    assert [decision.number for decision in older] == [*range(1, 21 - KEPT_WHOLE)]
    first = decided(0, KEPT_PODS)
    for decision in older:
        assert decision.candidates == first.candidates
        assert decision.reclaim == first.reclaim
        assert decision.victim == first.victim


def test_a_night_of_decisions_stays_below_two_megabytes() -> None:
    journal = DecisionJournal()
    for number in range(2 * KEPT_DECISIONS):
        journal.decided(decided(number, 250))

    assert len(journal.decisions) == KEPT_DECISIONS
    assert len(journal.as_json()) < 1 << 21
