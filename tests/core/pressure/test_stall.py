from overbook.core.pressure.stall import StallClock
from tests.core.simulated_node import MI, SimulatedNode, holding, vm


def test_a_dip_of_some_seconds_does_not_end_a_stall() -> None:
    stall = StallClock()
    stall.seen(True, 10.0)
    stall.seen(False, 11.0)
    stall.seen(False, 15.0)
    stall.seen(True, 16.0)
    assert stall.seconds(16.0) == 6.0


def test_a_longer_calm_ends_a_stall() -> None:
    stall = StallClock()
    stall.seen(True, 10.0)
    stall.seen(False, 15.1)
    stall.seen(True, 16.0)
    assert stall.seconds(18.0) == 2.0


def test_time_without_absorbing_restarts_when_the_node_absorbs() -> None:
    stall = StallClock()
    stall.seen(True, 10.0)
    assert stall.seconds_in_vain(10.0, absorbing=False) == 0.0
    assert stall.seconds_in_vain(14.0, absorbing=False) == 4.0
    assert stall.seconds_in_vain(15.0, absorbing=True) == 0.0
    assert stall.seconds_in_vain(20.0, absorbing=False) == 0.0
    assert stall.seconds(20.0) == 10.0


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
