from overbook.core.pressure.stall import StallClock
from tests.core.simulated_node import MI, SimulatedNode, holding, vm


def clock(*moments: tuple[float, bool]) -> StallClock:
    stall = StallClock()
    for now, holds in moments:
        stall.seen(holds, now)
    return stall


def test_a_dip_of_some_seconds_does_not_end_a_stall() -> None:
    stall = clock((10.0, True), (11.0, True), (12.0, False), (15.0, False), (16.0, True))
    assert stall.running
    assert stall.age_seconds(16.0) == 6.0


def test_a_dip_does_not_count() -> None:
    assert clock((10.0, True), (12.0, True), (13.0, False), (16.0, False), (17.0, True)).seconds == 3.0


def test_a_longer_calm_ends_a_stall() -> None:
    stall = clock((10.0, True), (12.0, True), (17.1, False))
    assert not stall.running
    stall.seen(True, 18.0)
    assert (stall.seconds, stall.age_seconds(18.0)) == (0.0, 0.0)


def test_time_without_absorbing_restarts_when_the_node_absorbs() -> None:
    stall = clock((10.0, True))
    assert stall.seconds_in_vain(absorbing=False) == 0.0
    stall.seen(True, 14.0)
    assert stall.seconds_in_vain(absorbing=False) == 4.0
    assert stall.seconds_in_vain(absorbing=True) == 0.0
    stall.seen(True, 20.0)
    assert stall.seconds_in_vain(absorbing=False) == 6.0
    assert stall.seconds == 10.0


def test_a_pod_that_grows_beyond_is_judged_by_the_whole_stall() -> None:
    node = SimulatedNode(vm("wild"), vm("calm"))
    node.holds["calm"] = holding(150 * MI, 50 * MI)
    node.starve()
    # Within its covered 300 MiB while other pods' cold memory is swapped out: no pod has to leave.
    for size in range(240, 290, 5):
        node.holds["wild"] = holding(size * MI)
        decision = node.second(stall=0.6, swap_out=8000)
        assert decision is None or decision.victim is None
    # Beyond its covered memory: the two seconds are long over.
    node.holds["wild"] = holding(340 * MI)
    decision = node.second(stall=0.6, swap_out=8000)
    assert decision is not None
    assert decision.victim is not None
    assert decision.victim.uid == "wild"
