from overbook.agent.agent import Agent
from overbook.agent.bridge import MOST_NOTICES, Bridge, Notice, Report
from overbook.agent.settings import AgentSettings
from overbook.agent.source import KubePods
from overbook.core.api.overcommit import OvercommitSpec
from overbook.core.api.overcommit_node import OvercommitNodeStatus, ReliefCandidate, ReliefRequest
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.overcommit.allowance import SwapPolicy
from tests.agent.fake_node import MI, FakeNode, manifest, uid_of


def agent_of(node: FakeNode, **settings: object) -> tuple[Agent, Bridge]:
    """Make an agent without an API thread: the test fills its bridge."""
    chosen = {
        "fsroot": str(node.root),
        "kube": True,
        "node_name": "n",
        "listen": "",
        "calm_seconds": 5.0,
        "swap": SwapPolicy(percent=150),
        **settings,
    }
    bridge = Bridge(node.clock)
    source = KubePods(bridge)
    return Agent(AgentSettings(**chosen), source, node.clock, node.clock, bridge), bridge  # type: ignore[arg-type]  # by field name


def told(name: str) -> dict[str, Pod]:
    return {uid_of(name): convert(manifest(name), Pod, "Pod")}


def reported(bridge: Bridge) -> Report | None:
    return bridge.report


def hear(bridge: Bridge, **spec: object) -> None:
    """Set what the API's thread would have read of the ``Overcommit``."""
    bridge.update_own_known()
    bridge.update_overcommit(OvercommitSpec(**{"mode": "Enforce", **spec}))  # type: ignore[arg-type]  # by field name


def test_limits_are_unchanged_until_the_mode_is_known(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    node.tick(agent)
    assert node.limit(path) == "max"
    assert reported(bridge) is None
    hear(bridge, percentage=150)
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    assert reported(bridge)
    agent.stop()


def test_an_earlier_request_stays_until_the_mode_is_known(node: FakeNode) -> None:
    """Either of the two answers that the start waits for may come first."""
    node.run("vm", memory_current=400 * MI)
    agent, bridge = agent_of(node)
    left = ReliefRequest(
        id="before-1",
        decided_at="then",
        candidates=(ReliefCandidate(uid=uid_of("vm"), namespace="demo", name="vm"),),
    )
    bridge.update_pods(told("vm"))
    bridge.update_own(OvercommitNodeStatus(agent_instance="before", request=left))
    node.tick(agent)
    node.tick(agent)
    assert reported(bridge) is None
    bridge.update_overcommit(OvercommitSpec(mode="Enforce"))
    node.tick(agent)
    report = reported(bridge)
    assert report
    assert report.tainted
    assert report.status.request is not None
    assert report.status.request.id == "before-1"
    agent.stop()


def test_a_pause_keeps_limits_and_writes_none_until_its_end(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=None)
    agent, bridge = agent_of(node, on_exit="Restore")
    bridge.update_pods(told("vm"))
    hear(bridge)
    node.tick(agent)
    hear(bridge, paused=True)
    agent.take_news()
    late = node.run("late", memory_swap_max=None)
    bridge.update_pods(told("vm") | told("late"))
    node.tick(agent)
    assert (node.limit(path), node.limit(late)) == (str(128 * MI), "max")
    report = bridge.report
    assert report is not None
    assert (report.status.paused, report.status.mode) == (True, "Enforce")
    hear(bridge)
    node.tick(agent)
    assert node.limit(late) == str(128 * MI)
    hear(bridge, mode="Observe")
    node.tick(agent)
    agent.stop()
    assert (node.limit(path), node.limit(late)) == ("max", "max")  # restored by the writer that wrote them


def test_a_pause_takes_request_and_taint_back_at_once(node: FakeNode) -> None:
    node.run("vm", memory_current=500 * MI)
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    hear(bridge)
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    node.tick(agent)
    before = reported(bridge)
    assert before
    assert (before.tainted, before.status.request is None) == (True, False)
    hear(bridge, paused=True)
    agent.take_news()  # before any tick
    after = reported(bridge)
    assert after
    assert (after.tainted, after.status.request is None) == (False, True)
    decision = node.tick(agent)
    assert decision is None or decision.action != "reclaim"
    agent.stop()


def test_the_clusters_percentage_gives_the_guests_sizes(node: FakeNode) -> None:
    agent, bridge = agent_of(node, swap=SwapPolicy(percent=150, allowance="whole"))
    bridge.update_pods(told("vm"))
    node.run("vm")
    for percent, expected in ((150, 128 * MI), (200, 256 * MI)):
        hear(bridge, percentage=percent)
        node.tick(agent)
        assert next(iter(agent.known_pods.allowances.values())).swap_max_bytes == expected
    agent.stop()


def test_the_taint_stays_until_the_node_was_calm_for_a_while(node: FakeNode) -> None:
    node.run("vm", memory_current=500 * MI)
    agent, bridge = agent_of(node)
    bridge.update_pods(told("vm"))
    hear(bridge)
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    node.tick(agent)
    node.set(mem_available_bytes=900 * MI, swap_free_bytes=512 * MI)
    tainted = []
    for _ in range(8):
        node.tick(agent)
        assert bridge.report is not None
        tainted.append(bridge.report.tainted)
    assert tainted == sorted(tainted, reverse=True)
    assert tainted[3]
    assert not tainted[-1]
    agent.stop()


def test_pods_are_kept_until_others_are_listed(node: FakeNode) -> None:
    bridge = Bridge(node.clock)
    source = KubePods(bridge)
    assert not source.refresh()
    pods = told("vm")
    bridge.update_pods(pods)
    assert source.refresh()
    assert source.pods is pods
    assert not source.refresh()
    bridge.close()


def test_notices_are_bounded_and_dropped_ones_are_counted(node: FakeNode) -> None:
    bridge = Bridge(node.clock)
    for number in range(MOST_NOTICES + 7):
        bridge.note(Notice(reason="R", message=str(number)))
    assert (len(bridge.notices), bridge.dropped) == (MOST_NOTICES, 7)
    assert bridge.notices[0].message == "7"
    bridge.close()
