from overbook.controller.pauses import Pauses
from overbook.kube.api.errors import KubeError


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_failed_key_waits_longer_each_time() -> None:
    clock = Time()
    pauses = Pauses(1.0, 4.0, clock)
    lengths = [pauses.failed("a", KubeError("gone")) for _ in range(5)]
    assert all(0.5 * most <= length <= most for length, most in zip(lengths, (1, 2, 4, 4, 4), strict=True))
    assert pauses.hold("a")
    assert not pauses.hold("b")
    clock.now += 4.0
    assert not pauses.hold("a")
    assert pauses.over() == {"a"}
    pauses.begin("a")
    assert pauses.over() == set()
    assert pauses.failed("a", KubeError("gone")) >= 2.0, "trying is no success"


def test_a_success_begins_pauses_anew_but_ends_no_rest() -> None:
    clock = Time()
    pauses = Pauses(1.0, 64.0, clock)
    for _ in range(5):
        pauses.failed("a", KubeError("gone"))
    pauses.rest_until("a", 150.0)
    pauses.succeeded("a")
    assert pauses.hold("a")
    assert pauses.failed("a", KubeError("gone")) <= 1.0


def test_a_forgotten_key_has_no_pause_left() -> None:
    pauses = Pauses(1.0, 64.0, Time())
    for key in "abc":
        pauses.failed(key, KubeError("gone"))
    pauses.forget("a")
    pauses.keep_only("b")
    assert [pauses.hold(key) for key in "abc"] == [False, True, False]
