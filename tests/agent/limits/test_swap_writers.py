import json
import logging
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from overbook.agent.agent import Agent
from overbook.agent.limits.writer_facts import GONE_SECONDS, LOOK_SECONDS
from overbook.agent.settings import KubeletAccess, load
from overbook.core.errors import InvalidInput
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.core.overcommit.writer import HOOK_FILE
from overbook.node.hook import hook_paths
from overbook.node.hook_folders import SHARED
from overbook.nri.connection import NRI_SOCKETS
from overbook_sandbox.fakes.nri_runtime import RuntimeStandIn
from tests.agent.fake_node import MI, FakeNode, uid_of
from tests.agent.test_ports import agent_of, hear, reported, told

PROPORTIONAL = str(128 * MI)  # 256 MiB of 1 GiB asked for: a quarter of 512 MiB
BURSTABLE = SwapPolicy(eligibility="Burstable")
FILE = "run/overbook/allowances"


class Runtime(RuntimeStandIn):
    """A runtime of the fake node; the agents of this process work while the runtime waits."""

    def __init__(self, node: FakeNode) -> None:
        self.node = node
        self.epoll = select.epoll()
        self.agent: Agent | None = None
        super().__init__(str(node.root / NRI_SOCKETS[0]), self._work)

    def serve(self, agent: Agent) -> None:
        """Accept an agent's plugin."""
        self.agent = agent
        agent.writers.attach(self.epoll)
        self.node.tick(agent)
        self.accept()
        self._work()

    def ask(self, name: str, number: int = 0, swap_max: str | None = "0") -> str | None:
        """Call the plugin about a pod's container that is to be created."""
        return self.create(uid_of(name), "compute", f"{number:064x}", swap_max)

    def close(self) -> None:
        """Close the runtime's connections; a connected agent notices."""
        super().close()
        self._work()

    def _work(self) -> None:
        for fd, _ in self.epoll.poll(0):
            if self.agent is not None and self.agent.writers.owns(fd):
                self.agent.writers.handle(self.node.now)


@pytest.fixture
def runtime(node: FakeNode) -> Iterator[Runtime]:
    with Runtime(node) as runtime:
        yield runtime
        if runtime.agent is not None:
            runtime.agent.writers.close(restore=False)
    runtime.epoll.close()


def kubelet(node: FakeNode, pid: int = 7, **fields: Any) -> None:
    """A running kubelet with a configuration."""
    for other in (node.root / "proc").glob("[0-9]*"):
        (other / "cmdline").write_bytes(b"gone\0")
        (other / "stat").unlink()
    own = "sys/fs/cgroup/system.slice/kubelet.service"
    node.build(
        {
            f"proc/{pid}/cmdline": "kubelet\0--config=/etc/kubelet.json\0",
            f"proc/{pid}/cgroup": "0::/../../system.slice/kubelet.service\n",
            f"proc/{pid}/stat": f"{pid} (kube) let) S " + " ".join(str(pid * 100 + at) for at in range(30)),
            f"{own}/memory.swap.max": "max\n",
            "etc/kubelet.json": json.dumps(fields),
        }
    )


def limited_swap(node: FakeNode, **more: Any) -> None:
    kubelet(node, failSwapOn=False, memorySwap={"swapBehavior": "LimitedSwap"}, **more)


def test_a_container_has_its_limit_before_it_starts(node: FakeNode, runtime: Runtime) -> None:
    node.describe("vm")
    agent = node.agent()
    runtime.serve(agent)

    assert runtime.ask("vm") == PROPORTIONAL
    assert agent.values()["nri_adjusted_total"] == 1
    assert agent.writers.choice is not None
    assert agent.writers.choice.writer == "nri"


def test_a_pod_that_came_since_the_last_round_is_known(node: FakeNode, runtime: Runtime) -> None:
    agent = node.agent()
    runtime.serve(agent)
    assert runtime.ask("vm") is None  # it is not described: it starts with the kubelet's limit
    node.describe("vm")

    assert runtime.ask("vm", 1) == PROPORTIONAL
    assert agent.values()["pods_known"] == 1


def test_a_limit_changed_later_is_written_and_sent_to_runtime(node: FakeNode, runtime: Runtime) -> None:
    path = node.start("vm", memory_swap_max=0)
    agent = node.agent()
    runtime.serve(agent)
    node.tick(agent)
    runtime.listen(lambda: bool(runtime.updates))
    node.set(swap_total_bytes=256 * MI, swap_free_bytes=256 * MI)
    node.tick(agent)
    node.tick(agent)
    runtime.listen(lambda: len(runtime.updates) > 1)

    assert node.limit(path) == str(64 * MI)
    assert runtime.updates == [(f"{0:064x}", PROPORTIONAL), (f"{0:064x}", str(64 * MI))]


def test_a_kubelets_update_does_not_take_the_limit_away(node: FakeNode, runtime: Runtime) -> None:
    node.describe("vm")
    agent = node.agent()
    runtime.serve(agent)
    runtime.ask("vm")

    assert runtime.update(uid_of("vm"), "compute", f"{0:064x}", "0") == PROPORTIONAL
    assert agent.values()["nri_kept_total"] == 1


def test_a_key_of_another_plugin_is_left_alone_by_every_writer(node: FakeNode, runtime: Runtime) -> None:
    node.describe("vm")
    agent = node.agent()
    runtime.serve(agent)

    assert runtime.ask("vm", swap_max="4096") is None
    path = node.run("vm", memory_swap_max=4096)
    for _ in range(3):
        node.tick(agent)
    assert node.limit(path) == "4096"
    assert agent.values()["swap_limits_differing"] == 1


@pytest.mark.parametrize(("on_exit", "after"), [("Restore", "0"), ("Leave", PROPORTIONAL)])
def test_the_runtimes_limits_are_restored_or_left_on_exit(
    node: FakeNode, runtime: Runtime, on_exit: Any, after: str
) -> None:
    node.describe("vm")
    agent = node.agent(on_exit=on_exit)
    runtime.serve(agent)
    assert runtime.ask("vm") == PROPORTIONAL
    path = node.run("vm", memory_swap_max=128 * MI)
    node.tick(agent)
    node.tick(agent)

    agent.stop()

    assert node.limit(path) == after
    assert agent.values()["nri_connected"] == 0


def test_a_runtime_that_restarts_is_served_again(node: FakeNode) -> None:
    node.describe("vm")
    agent = node.agent()
    with Runtime(node) as first:
        first.serve(agent)
    for _ in range(3):
        node.tick(agent)
    assert agent.values()["nri_connected"] == 0
    with Runtime(node) as second:
        second.agent, second.epoll = agent, first.epoll
        node.tick(agent, 10.0)
        second.accept()
        assert second.ask("vm") == PROPORTIONAL
    assert agent.values()["nri_connections_total"] == 2
    first.epoll.close()


def test_a_runtime_that_has_no_socket_any_more_is_reconciled(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent()
    with Runtime(node) as runtime:
        runtime.serve(agent)
    runtime.epoll.close()
    node.tick(agent, GONE_SECONDS + 10)

    assert agent.writers.choice is not None
    assert agent.writers.choice.writer == "reconcile"
    assert node.limit(path) == PROPORTIONAL


def test_observe_mode_calls_no_runtime_and_writes_no_file(node: FakeNode, runtime: Runtime) -> None:
    node.describe("vm")
    path = node.run("vm", memory_swap_max=0)
    agent = node.agent(mode="Observe")
    agent.writers.attach(runtime.epoll)
    for _ in range(3):
        node.tick(agent)
    agent.stop()

    assert node.limit(path) == "0"
    assert not (node.root / "run/overbook").exists()
    assert agent.values()["nri_connections_total"] == 0


def test_a_pause_ends_the_connection_and_its_end_brings_it_back(node: FakeNode, runtime: Runtime) -> None:
    agent, bridge = agent_of(node)
    hear(bridge)
    bridge.update_pods(told("vm"))
    runtime.serve(agent)
    assert runtime.ask("vm") == PROPORTIONAL
    assert reported(bridge) is not None

    hear(bridge, paused=True)
    node.tick(agent)
    assert agent.values()["nri_connected"] == 0

    hear(bridge)
    node.tick(agent, 10.0)
    runtime.accept()
    assert runtime.ask("vm", 1) == PROPORTIONAL


def test_no_limit_is_written_before_the_kubelet_answers(node: FakeNode) -> None:
    path = node.run("vm", memory_swap_max=0)
    agent, bridge = agent_of(node, kubelet=KubeletAccess(server="https://127.0.0.1:10250"))
    hear(bridge)
    bridge.update_pods(told("vm"))
    node.tick(agent)
    assert node.limit(path) == "0"

    bridge.update_kubelet_asked()
    node.tick(agent)
    assert node.limit(path) == PROPORTIONAL


def hook_on(node: FakeNode) -> Path:
    assert f"{SHARED.lstrip('/')}/{HOOK_FILE}" in hook_paths([SHARED])
    node.build({"usr/bin/crio": "", f"{SHARED.lstrip('/')}/{HOOK_FILE}": "{}"})
    return node.root / FILE


@pytest.mark.parametrize(("on_exit", "there"), [("Restore", False), ("Leave", True)])
def test_the_hooks_file_follows_the_allowances(node: FakeNode, on_exit: Any, there: bool) -> None:
    file = hook_on(node)
    node.describe("vm")
    agent = node.agent(on_exit=on_exit)
    node.tick(agent)
    assert file.read_text() == f"{uid_of('vm')}/compute {PROPORTIONAL}\nend\n"
    assert file.stat().st_mode & 0o777 == 0o600

    node.describe("web", virtual=False)
    node.tick(agent)
    assert f"{uid_of('web')}/compute 0\n" in file.read_text()

    agent.stop()
    assert file.exists() is there


def test_the_hooks_file_has_a_new_pod_before_the_next_round(node: FakeNode) -> None:
    file = hook_on(node)
    agent, bridge = agent_of(node)
    hear(bridge)
    bridge.update_pods({})
    node.tick(agent)

    bridge.update_pods(told("vm"))
    agent.take_news()

    assert f"{uid_of('vm')}/compute {PROPORTIONAL}\n" in file.read_text()


def test_a_limit_set_by_the_hook_is_restored_to_the_kubelets(node: FakeNode) -> None:
    hook_on(node)
    kubelet(node, failSwapOn=False)
    path = node.start("vm", memory_swap_max=128 * MI)
    agent = node.agent(on_exit="Restore")
    node.tick(agent)

    agent.stop()

    assert node.limit(path) == "0"


def test_the_file_of_an_unused_hook_is_removed(node: FakeNode) -> None:
    file = hook_on(node)
    node.describe("vm")
    node.tick(node.agent())
    assert file.exists()

    node.tick(node.agent(swap_writer="reconcile"))

    assert not file.exists()


def test_the_kubelets_limits_are_compared_and_never_changed(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    limited_swap(node)
    right, wrong = node.start("a", memory_swap_max=128 * MI), node.start("b", memory_swap_max=4096)
    agent = node.agent(swap=BURSTABLE)
    for _ in range(3):
        node.tick(agent)

    assert [node.limit(path) for path in (right, wrong)] == [PROPORTIONAL, "4096"]
    assert agent.values()["swap_limits_written_total"] == 0
    assert agent.values()["swap_limits_differing"] == 1
    (said,) = [each for each in caplog.messages if "memory.swap.max" in each]
    assert "demo/b/compute is 0 MiB, set by the kubelet, and should be 128 MiB" in said


def test_settings_in_conflict_here_stop_writing_not_the_agent(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    limited_swap(node)
    path = node.start("vm", memory_swap_max=4096)
    agent = node.agent()  # VMs only, by default
    node.tick(agent)

    assert node.limit(path) == "4096"
    assert agent.healthy()
    assert "set memorySwap.swapBehavior: NoSwap" in caplog.text


@pytest.mark.parametrize("word", ["UnlimitedSwap", "WorkloadControlledSwap"])
def test_limits_beside_an_unknown_behaviour_are_left_alone(
    node: FakeNode, caplog: pytest.LogCaptureFixture, word: str
) -> None:
    kubelet(node, failSwapOn=False, memorySwap={"swapBehavior": word})
    path = node.start("vm", memory_swap_max=4096)
    agent = node.agent()
    node.tick(agent)

    assert agent.writers.choice is not None
    assert agent.writers.choice.writer == "kubelet"
    assert node.limit(path) == "4096"
    assert "swapBehavior" in caplog.text


def test_the_limits_of_k3s_are_left_alone(node: FakeNode) -> None:
    limited_swap(node)
    folder = "var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
    node.build(
        {
            "proc/7/cmdline": "/usr/local/bin/k3s server\0\0\0",
            f"{folder}/00-k3s-defaults.conf": '{"failSwapOn": false}',
            f"{folder}/50-swap.conf": '{"memorySwap": {"swapBehavior": "LimitedSwap"}}',
        }
    )
    path = node.start("vm", memory_swap_max=4096)
    agent = node.agent()
    node.tick(agent)

    assert agent.writers.choice is not None
    assert agent.writers.choice.writer == "kubelet"
    assert node.limit(path) == "4096"


def test_a_kubelet_restarted_with_other_settings_is_noticed(node: FakeNode) -> None:
    limited_swap(node)
    path = node.start("vm", memory_swap_max=4096)
    agent = node.agent(swap=BURSTABLE)
    node.tick(agent)
    kubelet(node, pid=8, failSwapOn=False)
    node.tick(agent)
    assert node.limit(path) == "4096"  # the kubelet is looked at once a minute

    node.tick(agent, LOOK_SECONDS)

    assert node.limit(path) == PROPORTIONAL


def test_a_kubelet_restarted_with_the_same_settings_is_kept(node: FakeNode) -> None:
    limited_swap(node)
    path = node.start("vm", memory_swap_max=4096)
    agent = node.agent(swap=BURSTABLE)
    node.tick(agent)
    (node.root / "proc/7/stat").unlink()
    (node.root / "proc/7/cmdline").unlink()
    node.tick(agent, LOOK_SECONDS + 1)

    assert node.limit(path) == "4096"


def test_a_missing_writer_is_reported_and_replaced(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent(swap_writer="nri")
    node.tick(agent)

    assert node.limit(path) == PROPORTIONAL
    assert "expected a runtime with NRI" in caplog.text
    assert agent.writers.choice is not None
    assert agent.writers.choice.problem


def test_settings_in_conflict_on_every_node_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected Burstable"):
        load(None, {}, {"swap_writer": "kubelet"})

    assert load(None, {}, {"swap_writer": "kubelet", "eligibility": "Burstable"}).swap_writer == "kubelet"
