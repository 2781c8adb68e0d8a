import pathlib
import xml.etree.ElementTree as ET

import msgspec
import pytest

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.report.files import write_report
from overbook_sandbox.density.report.markdown import BEGIN, END, DensityReport, between_markers, markdown
from overbook_sandbox.density.report.most import Density, Kind, Trial
from overbook_sandbox.density.report.picture import headline, svg
from overbook_sandbox.density.report.rows import rows
from tests.sandbox.density.cells import cell, left

CELLS = [
    cell("wild", "limited", left=(left("vm-x", 16, how="kernel"),), kernel_kills=1, pace_percent=96.0),
    cell("wild", "overbook", left=(left("vm-x", 9.6),), longest_gap_seconds=0.4),
    cell("leak", "limited"),
    cell("leak", "overbook", innocents_lost=1, left=(left("vm-3", 11, guilty=False),), pace_percent=68.0),
]


def density(kind: Kind, guard: str, most: int) -> Density:
    trials = (
        Trial(count=most + 1, harmless=False, pace_percent=60, lost=1),
        Trial(count=most, harmless=True, pace_percent=97, lost=0),
    )
    return Density(
        kind=kind,
        guard=guard,
        cpus=1,
        memory_mib=1024,
        swap_mib=512,
        percent=150,
        seed=1,
        most=most,
        trials=trials,
    )


DENSITIES = [density("vms", "no-swap", 4), density("vms", "limited", 7), density("vms", "overbook", 6)]
REPORT = DensityReport(tuple(rows(CELLS)), tuple(DENSITIES))


def test_tables_show_wins_and_losses_alike() -> None:
    lines = markdown(REPORT, ["overbook", "make bench"]).splitlines()
    assert lines[0] == "Made by `overbook`, `make bench`."
    assert (
        "| one VM grows without end | vm-x 16 s kernel · 96 % · 0.1 s | vm-x 10 s · 100 % · 0.4 s ▼ |"
        in lines
    )
    assert (
        "| one VM leaks cold memory | none · 100 % · 0.1 s | vm-3 11 s · 68 % · 0.1 s · **1 lost** ▼ |"
        in lines
    )
    assert "- *one VM grows without end*: longest gap: 0.4 s, 0.1 s with limited" in lines
    assert (
        "| cold VMs | 1 | **overbook** | 150 % | 6 ▼ | 1.50 × | 0.86 × | 6: 97 %, 7: 1 lost, 60 % |" in lines
    )


def test_the_generated_part_of_a_file_is_replaced_and_no_other() -> None:
    first = between_markers("", "one", "f")
    assert between_markers(f"before\n{first}after\n", "two", "f") == f"before\n{BEGIN}\ntwo\n{END}\nafter\n"
    with pytest.raises(InvalidInput, match="--report: 'density\\.md'"):
        between_markers("no markers", "two", "density.md")


def test_the_headline_is_made_of_the_numbers() -> None:
    assert headline(REPORT) == (
        "One node holds 1.5 × the cold VMs (other guards: at most 1.8 ×) of a node without swap; "
        "1 innocent pod lost on 2 loads, 0 under other guards"
    )
    assert headline(DensityReport((), ())) == "Pods on a node that is short of memory"


@pytest.mark.parametrize(
    "report",
    [REPORT, DensityReport((), ()), DensityReport(REPORT.rows, ()), DensityReport((), REPORT.densities)],
)
def test_the_picture_is_well_formed_and_has_all_loads(report: DensityReport) -> None:
    picture = svg(report)
    words = "\n".join(ET.fromstring(picture).itertext())  # noqa: S314 - ours
    for row in report.rows:
        assert row.title in words
    assert ("Cold VMs on one node" in words) == bool(report.densities)


def test_a_folder_with_results_gets_all_files(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InvalidInput, match="--output-dir"):
        write_report(str(tmp_path), ["command"])
    (tmp_path / "cells.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in CELLS))
    (tmp_path / "most.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in DENSITIES))
    write_report(str(tmp_path), ["command"], str(tmp_path / "r.md"), str(tmp_path / "r.svg"))
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=DensityReport) == REPORT
    assert (tmp_path / "r.md").read_text().startswith(BEGIN)
    assert (tmp_path / "r.svg").read_text() == svg(REPORT)
