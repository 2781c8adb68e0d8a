"""What is read of a kubelet's flags and files is in force; tests/cluster/node asks a real kubelet for it."""

import os
from pathlib import Path

import pytest

from overbook.core.kubernetes.kubelet import reported_configuration
from overbook.core.kubernetes.kubelet_refusals import refusals
from overbook.node.kubelet import running_kubelet
from tests.node.kubelet_table import ROWS, Row, write_files


def place(root: Path, row: Row) -> None:
    """Write a row's process and files below a root."""
    write_files(root, row)
    process = root / "proc/812"
    process.mkdir(parents=True)
    (process / "cmdline").write_text("".join(f"{word}\0" for word in row.words))
    (process / "cgroup").write_text(f"0::{row.cgroup}\n")


def test_the_table_has_forty_rows_with_names() -> None:
    assert len(ROWS) >= 40
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row.name.replace(" ", "-") for row in ROWS])
def test_a_kubelets_settings_are_those_in_force(tmp_path: Path, row: Row) -> None:
    place(tmp_path, row)

    kubelet = running_kubelet(str(tmp_path))

    assert kubelet is not None
    found, wanted = kubelet.configuration, reported_configuration(row.expect)
    for name in found.__struct_fields__:
        if name in {field_name(each) for each in row.expect}:
            assert getattr(found, name) == getattr(wanted, name), name
    assert kubelet.unit == os.path.basename(row.cgroup)
    refused = [refusal.sentence for refusal in refusals(found, 36)]
    assert bool(refused) == bool(row.refused not in {"", "swap"}), refused
    assert (found.swap == "Refused") == (row.refused == "swap")


def field_name(reported: str) -> str:
    """The struct's name of a field of /configz."""
    special = {
        "cpuCFSQuota": "cpu_cfs_quota",
        "imageGCHighThresholdPercent": "image_gc_high_threshold_percent",
    }
    return special.get(reported) or "".join(f"_{c.lower()}" if c.isupper() else c for c in reported)
