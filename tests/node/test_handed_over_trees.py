"""The doctor says what is right of nodes kept beside the repository; without them these tests are skipped."""

import tarfile
from pathlib import Path

import pytest

from overbook.cli import main

TREES = Path(__file__).parents[3] / "shared/faults/inputs/node"

# name of the tree, more arguments, words that must appear, words that must not
CASES: tuple[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...] = (
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
        "microk8s",
        (),
        ("/var/snap/microk8s/7232/args/kubelet.yml does not exist",),
        ("no kubelet", "failSwapOn"),
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
