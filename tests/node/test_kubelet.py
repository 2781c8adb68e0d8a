import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from overbook.node.kubelet import limits_swap, parse_flags, running_kubelet, started


def parse(data: bytes, _name: str) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = json.loads(data)
    return fields


def process(root: Path, pid: int, *words: str, cgroup: str = "/") -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir(parents=True)
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "cgroup").write_text(f"0::{cgroup}\n")


def write(path: Path, fields: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(fields))


def test_a_node_without_a_kubelet_has_none(tmp_path: Path) -> None:
    process(tmp_path, 1, "/sbin/init")

    assert running_kubelet(str(tmp_path)) is None


def test_the_kubelets_file_and_drop_ins_are_read_in_order(tmp_path: Path) -> None:
    process(
        tmp_path, 7, "/usr/bin/kubelet", "--config=/etc/kubelet.conf", "--config-dir", "/etc/kubelet.conf.d"
    )
    write(tmp_path / "etc/kubelet.conf", {"failSwapOn": True})
    write(tmp_path / "etc/kubelet.conf.d/90-swap.conf", {"memorySwap": {"swapBehavior": "LimitedSwap"}})
    write(tmp_path / "etc/kubelet.conf.d/10-swap.conf", {"failSwapOn": False})
    write(tmp_path / "etc/kubelet.conf.d/README", {"failSwapOn": True})

    kubelet = running_kubelet(str(tmp_path))

    assert kubelet is not None
    assert kubelet.pid == 7
    assert [Path(path).name for path in kubelet.files] == ["kubelet.conf", "10-swap.conf", "90-swap.conf"]
    assert kubelet.configuration.swap == "LimitedSwap"


@pytest.mark.parametrize("sees", [True, False])
def test_the_kubelets_own_cgroup_shows_if_it_can_limit_swap(tmp_path: Path, *, sees: bool) -> None:
    process(tmp_path, 7, "kubelet", cgroup="/system.slice/kubelet.service" if sees else "/")
    own = tmp_path / "sys/fs/cgroup/system.slice/kubelet.service"
    own.mkdir(parents=True)
    (own / "memory.swap.max").write_text("max\n")

    kubelet = running_kubelet(str(tmp_path))

    assert kubelet is not None
    assert kubelet.limits_swap is sees


def test_flags_are_read_as_the_kubelet_reads_them() -> None:
    flags = parse_flags(["--a=1", "--b", "2", "--c", "--d=", "-v", "4", "x", "--a=3"])

    assert flags == {"a": "3", "b": "2", "c": "true", "d": "", "v": "4"}


def test_a_reader_in_its_own_cgroup_finds_the_kubelets(tmp_path: Path) -> None:
    process(tmp_path, 7, "kubelet", cgroup="/../../../system.slice/kubelet.service")
    own = tmp_path / "sys/fs/cgroup/system.slice/kubelet.service"
    own.mkdir(parents=True)
    (own / "memory.swap.max").write_text("max\n")

    assert limits_swap(7, str(tmp_path)) is True


def test_a_kubelet_is_known_by_its_start_whatever_its_name(tmp_path: Path) -> None:
    process(tmp_path, 7, "kubelet")
    assert started(7, str(tmp_path)) == ""
    (tmp_path / "proc/7/stat").write_text("7 (a) b (c) S " + " ".join(map(str, range(4, 40))))

    assert started(7, str(tmp_path)) == "22"
