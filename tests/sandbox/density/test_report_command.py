"""`overbook sandbox density` writes reports of results that a folder has."""

import pathlib

import msgspec
import pytest

from overbook.cli import main
from tests.sandbox.density.cells import cell


def test_a_report_is_written_without_any_boot(tmp_path: pathlib.Path) -> None:
    (tmp_path / "cells.jsonl").write_bytes(msgspec.json.encode(cell("wild", "overbook")) + b"\n")
    page, picture = tmp_path / "new.md", tmp_path / "new.svg"
    arguments = ["--output-dir", str(tmp_path), "--report", str(page), "--picture", str(picture)]
    assert main(["sandbox", "density", "--report-only", *arguments]) == 0
    assert "| one VM grows without end | none · 100 % · 0.1 s |" in page.read_text()
    assert picture.read_text().startswith("<svg ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--report-only",), "expected a folder with cells.jsonl or most.jsonl"),
        (("--most", "vms", "--percent", "100"), "--percent: 100 is not valid"),
        (("--most", "vms", "--guard", "oomd"), "--guard: 'oomd' is not valid"),
    ],
)
def test_a_report_or_search_that_cannot_be_is_refused(
    arguments: tuple[str, ...], said: str, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sandbox", "density", "--output-dir", str(tmp_path), *arguments]) == 2
    assert said in capsys.readouterr().err
