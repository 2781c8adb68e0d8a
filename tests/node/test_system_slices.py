"""The top cgroups of kubelet and runtime are found beside ``system.slice``."""

from pathlib import Path

import pytest

from overbook.node.system_slices import other_slices, other_swap_max


def node(root: Path, kubelet: str, runtime: str, **limits: str) -> str:
    for pid, (word, cgroup) in enumerate((("kubelet", kubelet), ("/usr/bin/containerd", runtime)), start=7):
        folder = root / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "cmdline").write_text(f"{word}\0")
        (folder / "cgroup").write_text(f"0::{cgroup}\n")
    for path in (kubelet, runtime):
        (root / "sys/fs/cgroup" / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name, limit in limits.items():
        (root / "sys/fs/cgroup" / name.replace("__", "/").replace("_", ".") / "memory.swap.max").write_text(
            limit
        )
    return str(root)


@pytest.mark.parametrize(
    ("kubelet", "runtime", "others"),
    [
        ("/system.slice/kubelet.service", "/system.slice/containerd.service", ()),
        ("/runtime.slice/kubelet.service", "/runtime.slice/containerd.service", ("runtime.slice",)),
        ("/system.slice/kubelet.service", "/podruntime.slice/containerd.service", ("podruntime.slice",)),
        ("/podruntime/kubelet", "/podruntime/runtime", ("podruntime",)),
        ("/user.slice/session-1.scope", "/kubepods.slice/kubepods-pod1.slice/x.scope", ()),
        ("/", "/system.slice/containerd.service", ()),
    ],
)
def test_other_slices_are_those_of_kubelet_and_runtime(
    tmp_path: Path, kubelet: str, runtime: str, others: tuple[str, ...]
) -> None:
    assert other_slices(node(tmp_path, kubelet, runtime)) == others


def test_a_slice_is_out_of_swap_if_its_services_are(tmp_path: Path) -> None:
    root = node(
        tmp_path,
        "/runtime.slice/kubelet.service",
        "/runtime.slice/containerd.service",
        runtime_slice="max\n",
        runtime_slice__kubelet_service="0\n",
        runtime_slice__containerd_service="0\n",
    )
    assert other_swap_max(root) == {"runtime.slice": "0"}

    service = tmp_path / "sys/fs/cgroup/runtime.slice/containerd.service/memory.swap.max"
    service.write_text("max\n")
    assert other_swap_max(root) == {"runtime.slice": "max"}
