import json
import logging
import pathlib
import stat
from typing import Any

import pytest

from overbook.agent.limits.reserve_writer import RECORD
from overbook.agent.settings import ReservesSettings, load
from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.reserve import HEADROOM_BYTES
from overbook_sandbox.fakes.kernel_files import container_files, make_cgroup
from tests.agent.fake_node import MI, FakeNode

DRIVERS = {
    "systemd": (
        "kubepods.slice",
        "kubepods.slice/kubepods-burstable.slice",
        "kubepods.slice/kubepods-besteffort.slice",
    ),
    "cgroupfs": ("kubepods", "kubepods/burstable", "kubepods/besteffort"),
}
TOP, BURSTABLE, BEST_EFFORT = DRIVERS["systemd"]


def classes(node: FakeNode, driver: str = "systemd", top_max: int | None = None, **files: Any) -> None:
    """Make the cgroups that a kubelet makes before there are pods."""
    top, *below = DRIVERS[driver]
    make_cgroup(node.root, top, container_files(memory_max=top_max))
    for path in below:
        make_cgroup(node.root, path, container_files(memory_current=10 * MI, **files))


def limit(node: FakeNode, path: str) -> str:
    return node.file(path, "memory.max").read_text().strip()


def limits(node: FakeNode, driver: str = "systemd") -> list[int | str]:
    found = [limit(node, path) for path in DRIVERS[driver][1:]]
    return [int(each) // MI if each.isdigit() else each for each in found]


def uses(node: FakeNode, path: str, size_bytes: int) -> None:
    node.file(path, "memory.current").write_text(f"{size_bytes}\n")


def kubelet(node: FakeNode, **fields: Any) -> None:
    node.build(
        {
            "proc/7/cmdline": b"/usr/bin/kubelet\0--config=/etc/kubelet.json\0",
            "etc/kubelet.json": json.dumps(fields),
        }
    )


def pods(node: FakeNode) -> None:
    """Start a Guaranteed pod of 200 MiB and a Burstable one of 100 MiB."""
    node.describe("paid", request="200Mi", limit="200Mi", cpu="1")
    node.describe("web", request="100Mi")


def kept(percent: int) -> ReservesSettings:
    return ReservesSettings(qos_reserved_memory_percent=percent)


@pytest.mark.parametrize("driver", ["systemd", "cgroupfs"])
@pytest.mark.parametrize(("percent", "expected"), [(100, [824, 724]), (50, [924, 874])])
def test_lower_classes_cannot_reach_what_higher_ones_request(
    node: FakeNode, driver: str, percent: int, expected: list[int]
) -> None:
    classes(node, driver)
    pods(node)
    node.tick(node.agent(reserves=kept(percent)))
    assert limits(node, driver) == expected
    assert limit(node, DRIVERS[driver][0]) == "max"


def test_no_reserve_is_written_with_0_percent_or_no_setting(node: FakeNode) -> None:
    classes(node, memory_max=300 * MI)
    pods(node)
    before = node.everything()
    for settings in ({"reserves": kept(0)}, {}):
        agent = node.agent(on_exit="Restore", **settings)
        node.tick(agent)
        agent.stop()
    assert node.everything() == before


def test_observe_mode_writes_no_reserve_and_logs_it(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    classes(node)
    pods(node)
    before = node.everything()
    agent = node.agent(mode="Observe", reserves=kept(50), on_exit="Restore")
    for _ in range(3):
        node.tick(agent)
    agent.stop()
    assert node.everything() == before
    source = "kept from 1024 MiB of RAM, of which nothing is known to be reserved"
    asked = "Guaranteed 200 MiB"
    burstable = f"50 % of what pods request ({asked}) {source}"
    best_effort = f"50 % of what pods request ({asked} and Burstable 100 MiB) {source}"
    assert [message for message in caplog.messages if "memory.max" in message] == [
        f"memory.max of Burstable pods ({BURSTABLE}) would be 924 MiB ({burstable})",
        f"memory.max of BestEffort pods ({BEST_EFFORT}) would be 874 MiB ({best_effort})",
    ]


def test_reserve_limits_follow_the_pods_and_change_with_them(node: FakeNode) -> None:
    classes(node)
    agent = node.agent(reserves=kept(100))
    node.tick(agent)
    assert limits(node) == [1024, 1024]
    paid = node.describe("paid", request="200Mi", limit="200Mi", cpu="1")
    node.tick(agent)
    assert limits(node) == [824, 824]
    written = agent.values()["qos_memory_max_written_total"]
    for _ in range(5):
        node.tick(agent)
    assert agent.values()["qos_memory_max_written_total"] == written == 4
    paid.unlink()
    node.tick(agent)
    assert limits(node) == [1024, 1024]


def test_a_pod_that_has_ended_requests_nothing(node: FakeNode) -> None:
    classes(node)
    path = node.describe("done", request="200Mi", limit="200Mi", cpu="1")
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": {"phase": "Succeeded"}}))
    node.tick(node.agent(reserves=kept(100)))
    assert limits(node) == [1024, 1024]


def test_a_class_that_uses_more_is_never_limited_below_its_use(node: FakeNode) -> None:
    classes(node)
    pods(node)
    agent = node.agent(reserves=kept(100))
    uses(node, BURSTABLE, 900 * MI)
    node.tick(agent)
    assert limits(node) == [900 + HEADROOM_BYTES // MI, 724]
    uses(node, BURSTABLE, 910 * MI)
    node.tick(agent)
    assert limits(node) == [916, 724]  # a class that took more is not given more
    uses(node, BURSTABLE, 860 * MI)
    node.tick(agent)
    assert limits(node) == [876, 724]
    uses(node, BURSTABLE, 820 * MI)
    node.tick(agent)
    assert limits(node) == [824, 724]


def test_system_reserved_memory_is_not_given_to_pods(node: FakeNode) -> None:
    kubelet(node, systemReserved={"memory": "100Mi"}, kubeReserved={"memory": "24Mi"})
    classes(node, top_max=900 * MI)
    pods(node)
    node.tick(node.agent(reserves=kept(50)))
    assert limits(node) == [800, 750]


def test_unenforced_allocatable_is_read_from_the_configuration(node: FakeNode) -> None:
    kubelet(node, systemReserved={"memory": "100Mi"}, enforceNodeAllocatable=["none"])
    classes(node)
    pods(node)
    node.tick(node.agent(reserves=kept(50)))
    assert limits(node) == [824, 774]


def test_a_kubelet_that_reserves_for_qos_is_left_to_it(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    kubelet(node, qosReserved={"memory": "50%"}, featureGates={"QOSReserved": True})
    classes(node)
    pods(node)
    before = node.everything()
    agent = node.agent(reserves=kept(100), on_exit="Restore")
    node.tick(agent)
    agent.stop()
    assert node.everything() == before
    assert (
        "memory.max of QoS classes is left alone: the kubelet keeps 50 % for higher QoS classes itself "
        "(qosReserved, gate QOSReserved)"
    ) in caplog.messages


def test_qos_reserved_without_its_feature_gate_is_ignored(node: FakeNode) -> None:
    kubelet(node, qosReserved={"memory": "50%"})
    classes(node)
    pods(node)
    node.tick(node.agent(reserves=kept(100)))
    assert limits(node) == [824, 724]


def test_a_node_with_two_trees_of_pods_is_left_alone(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    classes(node, "systemd")
    classes(node, "cgroupfs")
    pods(node)
    node.tick(node.agent(reserves=kept(100)))
    assert limits(node, "systemd") == limits(node, "cgroupfs") == ["max", "max"]
    assert "several cgroups look like a kubelet's: kubepods, kubepods.slice" in caplog.text


def test_a_foreign_limit_is_restored_at_exit(node: FakeNode) -> None:
    classes(node, memory_max=300 * MI)
    pods(node)
    agent = node.agent(reserves=kept(100), on_exit="Restore")
    node.tick(agent)
    assert limits(node) == [824, 724]
    record = node.root / RECORD
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    uses(node, BEST_EFFORT, 310 * MI)
    agent.stop()
    assert limits(node) == [300, 310 + HEADROOM_BYTES // MI]
    assert not record.exists()


def test_limits_left_at_exit_are_restored_without_the_setting(node: FakeNode) -> None:
    classes(node)
    pods(node)
    agent = node.agent(reserves=kept(100))
    node.tick(agent)
    agent.stop()
    assert limits(node) == [824, 724]
    again = node.agent(reserves=kept(50))  # the limits that it finds are not those from before
    node.tick(again)
    again.stop()
    watching = node.agent(mode="Observe")
    node.tick(watching)
    assert limits(node) == [924, 874]
    node.tick(node.agent())
    assert limits(node) == ["max", "max"]
    assert not (node.root / RECORD).exists()


def test_a_recreated_cgroup_is_not_given_an_old_ones_limit(node: FakeNode, tmp_path: pathlib.Path) -> None:
    classes(node, memory_max=300 * MI)
    pods(node)
    agent = node.agent(reserves=kept(100))
    node.tick(agent)
    agent.stop()
    folder = node.file(BURSTABLE, "memory.max").parent
    folder.rename(tmp_path / "old")
    make_cgroup(node.root, BURSTABLE, container_files(memory_max=None))
    node.tick(node.agent())
    assert limits(node) == ["max", 300]


def test_limits_without_a_record_are_not_changed(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    classes(node)
    pods(node)
    node.build({"run": ""})  # a file where the folder should be
    agent = node.agent(reserves=kept(100))
    node.tick(agent)
    assert limits(node) == ["max", "max"]
    assert "memory.max of QoS classes is left alone: " in caplog.text
    node.tick(agent)
    assert caplog.text.count("left alone") == 1


def test_another_writer_is_corrected_and_named_once(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    classes(node)
    pods(node)
    agent = node.agent(reserves=kept(100))
    for _ in range(6):
        node.tick(agent)
        assert limits(node) == [824, 724]
        node.file(BURSTABLE, "memory.max").write_text("max\n")
    assert caplog.text.count(f"memory.max of {BURSTABLE} is written by another program too") == 1


@pytest.mark.parametrize(
    ("text", "percent"), [("memory=50%", 50), ("50%", 50), ("100", 100), ("memory=0%", 0)]
)
def test_reserve_flag_is_written_like_the_kubelets(text: str, percent: int) -> None:
    settings = load(None, {}, {"qos_reserved": text})
    assert settings.reserves.qos_reserved_memory_percent == percent


@pytest.mark.parametrize("text", ["", "memory", "cpu=50%", "memory=101%", "-5%", "0.5"])
def test_a_malformed_reserve_flag_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="qosReserved memory"):
        load(None, {}, {"qos_reserved": text})


def test_a_reserve_setting_out_of_range_is_refused(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("reserves: {qosReservedMemoryPercent: 150}\n")
    with pytest.raises(InvalidInput, match="qosReservedMemoryPercent"):
        load(str(path), {}, {})
