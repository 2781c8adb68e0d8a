import json

from overbook.agent.loop import Loop
from tests.agent.fake_node import MI, FakeNode
from tests.probes.exposition_reader import parsed


def test_prometheus_reads_every_value_whatever_pods_are_called(node: FakeNode) -> None:
    odd = 'quo"te\\back\nline'
    node.describe("vm", name=odd)
    node.run(
        "vm",
        memory_current=500 * MI,
        memory_swap_current=5 * MI,
        memory_stat={"swapcached": 2 * MI},
    )
    node.set(mem_available_bytes=0, swap_free_bytes=0)
    agent = node.agent()
    node.tick(agent)
    node.tick(agent)
    values = parsed(agent.metrics.render(agent.values()).decode())
    assert values["overbook_pod_working_set_bytes", (("pod", f"demo/{odd}"),)] == 500 * MI
    assert values["overbook_pod_swap_bytes", (("pod", f"demo/{odd}"),)] == 5 * MI
    assert values["overbook_pod_held_bytes", (("pod", f"demo/{odd}"),)] == 503 * MI
    assert values["overbook_node_memory_bytes", ()] == 1 << 30
    assert values["overbook_node_swap_used_bytes", ()] == 512 * MI
    assert values["overbook_ticks_total", ()] == 2
    assert values["overbook_containers", ()] == 1
    decisions = [dict(labels)["action"] for name, labels in values if name == "overbook_decisions_total"]
    assert decisions == ["relieve", "wait"]


def test_every_value_of_a_part_is_a_metric(node: FakeNode) -> None:
    agent = node.agent()
    shown = {name for name, _ in parsed(agent.metrics.render(agent.values()).decode())}
    assert {f"overbook_{name}" for name in agent.values()} <= shown


def test_metrics_exist_before_the_first_tick(node: FakeNode) -> None:
    agent = node.agent()
    assert parsed(agent.metrics.render(agent.values()).decode())["overbook_ticks_total", ()] == 0


def test_health_readiness_and_decisions_follow_the_ticks(node: FakeNode) -> None:
    node.start("vm", memory_current=500 * MI)
    agent = node.agent()
    loop = Loop(agent, agent._settings)
    try:
        handlers = loop._handlers()
        assert [handlers[path]()[0] for path in ("/healthz", "/readyz")] == [503, 503]
        node.tick(agent)
        assert [handlers[path]()[0] for path in ("/healthz", "/readyz")] == [200, 200]
        node.now += 11
        assert handlers["/healthz"]()[0] == 503
        node.set(mem_available_bytes=0, swap_free_bytes=0)
        node.tick(agent)
        decisions = json.loads(handlers["/decisions"]()[2])["decisions"]
        assert decisions[0]["victim"]["label"] == "demo/vm"
        assert set(parsed(handlers["/metrics"]()[2].decode()))
    finally:
        loop._epoll.close()
