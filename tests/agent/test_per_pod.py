from overbook.agent.per_pod import PerPod
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.resolved import ResolvedPod
from tests.core.pod_manifests import GI, pod_of

SMALL, LARGE = pod_of({"requests": {"memory": "1Gi"}}), pod_of({"requests": {"memory": "2Gi"}})
BROKEN = pod_of({"requests": {"memory": "nonsense"}})


class Asked:
    """The memory requests of pods, and which pods were asked for them."""

    def __init__(self) -> None:
        self.asked: list[Pod] = []
        self.requests = PerPod(self._request)

    def _request(self, pod: ResolvedPod) -> int:
        self.asked.append(pod.pod)
        return pod.requests.memory_bytes or 0


def test_only_a_pod_that_changed_is_worked_out_again() -> None:
    one = Asked()
    assert one.requests.of({"a": SMALL, "b": SMALL}) == [GI, GI]
    assert one.requests.of({"a": SMALL, "b": LARGE}) == [GI, 2 * GI]
    assert one.asked == [SMALL, SMALL, LARGE]


def test_a_pod_that_is_gone_does_not_count() -> None:
    one = Asked()
    one.requests.of({"a": SMALL, "b": LARGE})
    assert one.requests.of({"b": LARGE}) == [2 * GI]


def test_a_pod_that_makes_no_sense_is_left_out() -> None:
    assert Asked().requests.of({"a": BROKEN, "b": SMALL}) == [GI]


def test_after_clearing_every_pod_is_worked_out_again() -> None:
    one = Asked()
    one.requests.of({"a": SMALL})
    one.requests.clear()
    assert one.requests.of({"a": SMALL}) == [GI]
    assert one.asked == [SMALL, SMALL]
