import argparse
import json
from pathlib import Path

import pytest

from overbook.cli import main
from overbook.cli.commands.explain.topics import NAMES, pressure, qos, swap
from overbook.cli.commands.explain.topics.here import Here, read_here

SAID = {
    "swap": ["MemoryPressure", "Eviction thresholds", "Guaranteed", "NODE_SWAP_SPACE", "8Gi"],
    "qos": ["BestEffort", "oom_score_adj", "-997", "1000"],
    "reserve": ["qos-reserved", "100%", "50%", "0%", "systemReserved"],
    "cpu": ["100 ms", "shares", "quota", "cpu-cfs-quota", "cpu.weight"],
    "overcommit": ["200 %", "vm.overcommit_memory", "vm.panic_on_oom", "capacity"],
    "override": ["LimitRange", "forbidden", "cluster-resource-override-enabled"],
    "vm": ["memoryOvercommitPercentage", "requests.memory", "dedicated CPUs", "296Mi"],
    "pressure": ["1000 pages/s", "working set", "PSI", "22.4Gi"],
}


@pytest.mark.parametrize("name", NAMES)
def test_each_page_states_its_rule(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["explain", "--topic", name, "--node-memory", "16Gi", "--percent", "150"]) == 0
    text = capsys.readouterr().out
    joined = " ".join(text.split())
    assert [part for part in SAID[name] if part not in joined] == []
    assert max(map(len, text.splitlines())) <= 92


def test_the_list_has_every_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--topic", "list", "--output", "json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["topics"]) == list(NAMES)


def test_a_page_is_available_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "--topic", "swap", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["topic"] == "swap"


def options() -> argparse.Namespace:
    return argparse.Namespace(node_memory=None, node_swap=None, percent=None)


def test_a_nodes_own_numbers_stand_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "proc/sys/vm").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 16777216 kB\nSwapTotal: 8388608 kB\n", "utf-8")
    (tmp_path / "proc/swaps").write_text(
        "Filename Type Size Used Priority\n/dev/vda2 partition 8388604 0 -2\n", "utf-8"
    )
    (tmp_path / "proc/sys/vm/swappiness").write_text("60\n", "utf-8")
    text = swap.page(read_here(options(), str(tmp_path)))
    for part in ("16Gi", "150 %", "/dev/vda2 (partition, 8Gi)", "vm.swappiness          60", "not mounted"):
        assert part in text


def test_a_pages_percentages_leave_out_huge_pages(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(
        "MemTotal: 67108864 kB\nSwapTotal: 8388608 kB\nHugetlb: 50331648 kB\n", "utf-8"
    )
    here = read_here(options(), str(tmp_path))
    assert here.carried == "150 %"
    assert here.memory == "64Gi (48Gi of it huge pages)"
    assert "needs 8Gi" in swap.page(here)
    assert "22.4Gi" in pressure.page(here)


def test_the_page_names_what_is_not_readable(tmp_path: Path) -> None:
    here = read_here(options(), str(tmp_path))
    assert here.memory_bytes is None
    assert "not readable here" in swap.page(here)
    assert "off: boot with psi=1" in here.pressure


def test_a_larger_node_gives_the_same_request_a_worse_score() -> None:
    assert "gets 500" in qos.page(Here(1 << 30, 0, None, None, "the node", None))
