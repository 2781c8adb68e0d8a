"""The doctor says what is right of nodes kept beside the repository; without them these tests are skipped."""

import tarfile
from pathlib import Path

import pytest

from overbook.cli import main

TREES = Path(__file__).parents[3] / "shared/faults/inputs/node"

# name of the tree, more arguments, words that must appear, words that must not
CASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "earlyoom",
        (),
        (
            "earlyoom (process 601) kills",
            "18.4Gi together, before",
            "22.4Gi",
            "disable --now earlyoom.service",
        ),
        ("nothing is wrong", "no process of"),
    ),
    (
        "eviction_soft",
        (),
        ("evicts below 2Gi (evictionSoft for 30s)", "evictionSoft below"),
        ("nothing is wrong",),
    ),
    ("flag_eviction_hard", (), ("evicts below 750Mi", "begin at 1006Mi", "node tune apply"), ("100Mi",)),
    ("hugepages", (), ("150 % needs 8Gi",), ("broken", "needs 32Gi")),
    ("k3s_argv", (), ("accepts swap, and gives pods none (NoSwap)",), ("failSwapOn", "no kubelet", "100Mi")),
    ("k3s_title", (), ("accepts swap", "evicts below 1Gi"), ("no kubelet", "100Mi")),
    (
        "kubepods_swap_zero",
        (),
        ("broken nothing below kubepods.slice can swap", "echo max > /sys/fs/cgroup/kubepods.slice/memory"),
        ("nothing is wrong", "no limit of swap"),
    ),
    (
        "microk8s",
        (),
        ("/var/snap/microk8s/7232/args/kubelet.yml does not exist",),
        ("no kubelet", "failSwapOn"),
    ),
    (
        "mismatch",
        (),
        (
            "broken 1 cgroup of a pod is not below kubepods",
            "system.slice/kubepods-burstable-pod0f",
            "Cgroup =",
        ),
        ("nothing is wrong", "no cgroup outside"),
    ),
    (
        "no_memory_controller",
        (),
        ("broken this node has no memory controller", "cgroup_enable=memory"),
        ("tune apply", "writes the swap limits"),
    ),
    (
        "no_swap_accounting",
        (),
        ("broken this kernel does not count swap for each cgroup", "swapaccount=1"),
        ("tune apply", "writes the swap limits", "a cgroup of its own"),
    ),
    (
        "oomd",
        (),
        ("systemd-oomd (process 600) kills", "21.6Gi together, before", "22.4Gi", "ManagedOOMSwap=auto"),
        ("nothing is wrong", "no process of"),
    ),
    ("runtime_slice", (), ("runtime.slice may be swapped out", "node tune apply"), ("nothing is wrong",)),
    ("unlimited_swap", (), ("broken", "UnlimitedSwap is refused from 1.30 on"), ("gives pods none",)),
)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_handed_over_node_is_judged_rightly(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    case: tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]],
) -> None:
    name, arguments, there, absent = case
    archive = TREES / f"{name}.tgz"
    if not archive.exists():
        pytest.skip(f"there is no {archive.name} beside the repository")
    with tarfile.open(archive) as tree:
        tree.extractall(tmp_path, filter="data")

    main(["node", "doctor", "--percent", "150", "--fsroot", str(tmp_path / name), *arguments])

    said = " ".join(capsys.readouterr().out.split())
    assert [word for word in there if word not in said] == [], said
    assert [word for word in absent if word in said] == [], said
