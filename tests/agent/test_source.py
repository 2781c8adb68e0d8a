import json
import logging
import os
import time
from typing import Any

import pytest

from overbook.agent.source import ManifestDirectory
from overbook.core.errors import InvalidInput
from tests.agent.fake_node import MI, FakeNode, manifest, uid_of

BOMB = (
    "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "kind: Pod\napiVersion: v1\n"
)
WRONG = {
    "no YAML": "{{{",
    "a list": "- 1\n- 2\n",
    "a binary": b"\x00\x01\xff\xfe",
    "not UTF-8": b"kind: Pod\nname: \xff\n",
    "no kind": "apiVersion: v1\n",
    "cut off": json.dumps(manifest("vm"))[:200],
    "aliases that explode": BOMB,
    "nested too deep": "[" * 100_000,
    "nested too deep, as JSON": '{"a":' * 100_000,
    "containers of the wrong type": '{"kind": "Pod", "apiVersion": "v1", "spec": {"containers": 5}}',
    "a UID that is a number": '{"kind": "Pod", "apiVersion": "v1", "metadata": {"uid": 5}}',
    "a namespace without sense": '{"kind": "Namespace", "apiVersion": "v1", "metadata": [1]}',
    "a list of annotations": "kind: Namespace\napiVersion: v1\nmetadata: {annotations: [5]}\n",
    "annotations of the wrong type": "kind: Namespace\napiVersion: v1\nmetadata: {annotations: {a: 5}}\n",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_named_once_and_the_others_count(
    node: FakeNode, caplog: pytest.LogCaptureFixture, content: str | bytes
) -> None:
    path = node.start("good", memory_swap_max=None)
    wrong = node.manifests / "wrong.yaml"
    wrong.write_bytes(content if isinstance(content, bytes) else content.encode())
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    complaints = [message for message in caplog.messages if "wrong.yaml" in message]
    assert len(complaints) == 1
    assert len(complaints[0]) < 500
    assert agent.metrics.failed_ticks == 0


@pytest.mark.parametrize("content", [text for text in WRONG.values() if isinstance(text, str)])
def test_a_file_that_becomes_wrong_keeps_its_last_pods(node: FakeNode, content: str) -> None:
    path = node.run("vm", memory_swap_max=None)
    file = node.manifests / "vm.yaml"
    file.write_text(json.dumps(manifest("vm")))
    agent = node.agent()
    node.tick(agent)
    file.write_text(content)
    node.file(path, "memory.swap.max").write_text("max\n")
    node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    file.write_text(json.dumps(manifest("vm", swap="disabled")))
    node.tick(agent)
    assert node.limit(path) == "0"


@pytest.mark.parametrize("memory", ["-1", "1e400", "lots", "99999999999999999999999999999999999999", "1Qi"])
def test_a_pod_with_invalid_requests_is_left_alone_and_named(
    node: FakeNode, caplog: pytest.LogCaptureFixture, memory: str
) -> None:
    node.describe("odd", request=memory)
    odd, good = node.run("odd", memory_swap_max=None), node.start("good", memory_swap_max=None)
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(good) == str(128 * MI)
    assert node.limit(odd) in {"max", "0"}
    if node.limit(odd) == "max":
        assert len([message for message in caplog.messages if "pod demo/odd is left alone" in message]) == 1
    assert agent.metrics.failed_ticks == 0


def test_a_pod_without_uid_is_named_and_ignored(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    node.describe("lost", uid="")
    node.tick(node.agent())
    assert "manifests: lost.json: Pod demo/lost has no metadata.uid; ignored" in caplog.messages


def test_of_two_pods_with_one_uid_the_first_file_counts(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.describe("a", uid=uid_of("a"))
    node.describe("b", uid=uid_of("a"), swap="disabled")
    path = node.run("a", memory_swap_max=None)
    agent = node.agent()
    for _ in range(3):
        node.tick(agent)
    assert node.limit(path) == str(128 * MI)
    said = [message for message in caplog.messages if "has the UID of one in a.json; ignored" in message]
    assert len(said) == 1


def test_pods_of_one_name_and_two_uids_are_two_pods(node: FakeNode) -> None:
    """A pod was deleted and created again while the old one still ends."""
    (node.manifests / "1.json").write_text(json.dumps(manifest("vm", uid=uid_of("old"))))
    (node.manifests / "2.json").write_text(json.dumps(manifest("vm", uid=uid_of("new"))))
    paths = [node.run("old", memory_swap_max=None), node.run("new", memory_swap_max=None)]
    agent = node.agent()
    node.tick(agent)
    assert [node.limit(path) for path in paths] == [str(128 * MI)] * 2
    assert b'pod="demo/vm"' in agent.metrics.render({})


def test_containers_of_one_name_do_no_harm(node: FakeNode) -> None:
    pod = manifest("vm")
    pod["spec"]["containers"] *= 2
    (node.manifests / "vm.json").write_text(json.dumps(pod))
    node.run("vm", 0), node.run("vm", 1)
    agent = node.agent()
    node.tick(agent)
    assert agent.metrics.failed_ticks == 0


def test_ten_mebibytes_of_yaml_do_not_stop_other_manifests(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    path = node.start("good", memory_swap_max=None)
    (node.manifests / "large.yaml").write_text("kind: Pod\napiVersion: v1\nx: " + "y" * (10 << 20))
    node.tick(node.agent())
    assert node.limit(path) == str(128 * MI)
    assert any("large.yaml" in message and "10 MiB" in message for message in caplog.messages)


def test_a_long_list_of_pods_is_read_like_a_short_one(node: FakeNode) -> None:
    pods = [manifest(f"vm{n}", labels={"filler": "x" * 100}) for n in range(3000)]
    document = json.dumps({"kind": "List", "apiVersion": "v1", "items": pods})
    assert len(document) > 1 << 20
    (node.manifests / "all.json").write_text(document)
    path = node.run("vm2999", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    assert agent.values()["pods_known"] == 3000
    assert node.limit(path) == str(128 * MI)


def test_a_removed_file_removes_its_pods_and_keeps_their_limits(node: FakeNode) -> None:
    path = node.start("vm", memory_swap_max=None)
    agent = node.agent()
    node.tick(agent)
    (node.manifests / "vm.json").unlink()
    node.tick(agent)
    assert agent.values()["pods_known"] == 0
    assert node.limit(path) == str(128 * MI)


def test_a_vanished_directory_keeps_its_pods_until_it_is_back(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.start("vm")
    agent = node.agent()
    node.tick(agent)
    hidden = node.manifests.rename(node.manifests.with_name("hidden"))
    for _ in range(3):
        node.tick(agent)
    assert agent.values()["pods_known"] == 1
    assert len([message for message in caplog.messages if "keeping the pods known so far" in message]) == 1
    hidden.rename(node.manifests)
    node.describe("other")
    node.tick(agent)
    assert agent.values()["pods_known"] == 2


def test_files_of_other_kinds_and_names_are_passed_over(node: FakeNode) -> None:
    (node.manifests / "notes.txt").write_text("{{{")
    (node.manifests / ".vm.yaml.swp").write_text("{{{")
    (node.manifests / ".hidden.yaml").write_text("{{{")
    (node.manifests / "folder.yaml").mkdir()
    (node.manifests / "dangling.yaml").symlink_to("/nowhere")
    (node.manifests / "service.yaml").write_text("kind: Service\napiVersion: v1\n")
    node.describe("vm")
    assert set(ManifestDirectory(str(node.manifests)).pods) == {uid_of("vm")}


def test_unchanged_manifests_are_not_read_again(node: FakeNode) -> None:
    node.describe("vm")
    source = ManifestDirectory(str(node.manifests))
    assert source.refresh() is False
    before: Any = source.pods[uid_of("vm")]
    node.describe("other")
    assert source.refresh() is True
    assert source.pods[uid_of("vm")] is before


def test_a_file_changed_with_equal_size_and_date_is_read_again(node: FakeNode) -> None:
    path = node.describe("vm", request="256Mi")
    before = path.stat()
    source = ManifestDirectory(str(node.manifests))
    time.sleep(0.02)  # a file system's clock is coarse
    node.describe("vm", request="512Mi")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.refresh() is True


def test_errors_of_removed_files_are_forgotten(node: FakeNode) -> None:
    source = ManifestDirectory(str(node.manifests))
    for number in range(20):
        file = node.manifests / f"{number}.yaml"
        file.write_text("{{{")
        source.refresh()
        file.unlink()
    source.refresh()
    assert not source._complaints


def test_a_path_that_is_no_directory_is_refused(node: FakeNode) -> None:
    for path in (node.manifests / "none", node.describe("vm")):
        with pytest.raises(InvalidInput, match="a directory of pod manifests"):
            ManifestDirectory(str(path))


def test_the_log_stays_short_however_long_a_file_is_wrong(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (node.manifests / "wrong.yaml").write_text("{{{")
    agent = node.agent()
    for _ in range(50):
        node.tick(agent)
    assert len(caplog.messages) < 10
