"""The doctor on trees that are handed over beside the repository; without them, nothing is tested."""

import pathlib
import subprocess
import sys
import tarfile

import pytest

TREES = pathlib.Path(__file__).resolve().parents[3] / "shared/faults/inputs/node"

CASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
    ("deleted_file", (), ("was deleted while in use",), ("nothing is wrong",)),
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
    (
        "rbd",
        (),
        ("overbook node swap apply --folder /var/lib/overbook-swap",),
        ("swap remove &&",),
    ),
    ("runtime_slice", (), ("runtime.slice may be swapped out", "node tune apply"), ("nothing is wrong",)),
    ("size_only", (), ("has switched it off since",), ("swap is on, as configured",)),
    ("swapped_off_later", (), ("has switched it off since",), ("swap is off", "swap is on, as configured")),
    ("unlimited_swap", (), ("broken", "UnlimitedSwap is refused from 1.30 on"), ("gives pods none",)),
    ("var_tmp_file", (), ("is in a folder that is cleaned up",), ("nothing is wrong",)),
    ("vmware_scsi", (), ("/dev/sda2, a virtual disk",), ("rotating disk",)),
    ("waagent", (), ("waagent (/etc/waagent.conf) also manages swap",), ("no other program",)),
    ("zramswap_tools", (), ("zram-tools (/etc/default/zramswap) also manages swap",), ("no other program",)),
    ("zvol", (), ("risky   swap on /dev/zd0 is on ZFS",), ("solid-state",)),
)
"""Name of the tree, further arguments, words that must appear, words that must not; sorted by name."""


@pytest.mark.parametrize(("tree", "arguments", "there", "absent"), CASES, ids=[case[0] for case in CASES])
def test_the_doctor_says_what_is_right(
    tmp_path: pathlib.Path,
    tree: str,
    arguments: tuple[str, ...],
    there: tuple[str, ...],
    absent: tuple[str, ...],
) -> None:
    archive = TREES / f"{tree}.tgz"
    if not archive.exists():
        pytest.skip(f"{archive} is not there")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    percent = () if tree == "size_only" else ("--percent", "150")
    command = [sys.executable, "-m", "overbook", "node", "doctor", "--fsroot", str(tmp_path / tree)]
    done = subprocess.run([*command, *percent, *arguments], stdout=subprocess.PIPE, text=True, check=False)

    said = " ".join(done.stdout.split())
    for words in there:
        assert " ".join(words.split()) in said
    for words in absent:
        assert " ".join(words.split()) not in said
