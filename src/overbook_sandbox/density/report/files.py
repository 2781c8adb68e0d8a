"""The files of a benchmark's folder, and those that are made of them."""

import os
from collections.abc import Sequence
from typing import Final

from overbook.core.errors import InvalidInput
from overbook_sandbox.density.lanes import CELLS
from overbook_sandbox.density.report.markdown import DensityReport, as_json, between_markers, markdown
from overbook_sandbox.density.report.most import Density, read_densities
from overbook_sandbox.density.report.picture import svg
from overbook_sandbox.density.report.rows import rows
from overbook_sandbox.density.result import Cell, read_cells

MOST: Final = "most.jsonl"
REPORT: Final = "report.json"


def read_report(folder: str) -> DensityReport:
    """The report of all results in a folder.

    Raises:
        InvalidInput: it has none.
    """
    cells: list[Cell] = []
    densities: list[Density] = []
    if os.path.exists(path := os.path.join(folder, CELLS)):
        with open(path, "rb") as file:
            cells = list(read_cells(file).values())
    if os.path.exists(path := os.path.join(folder, MOST)):
        with open(path, "rb") as file:
            densities = read_densities(file)
    if not cells and not densities:
        raise InvalidInput("--output-dir", folder, f"a folder with {CELLS} or {MOST}")
    return DensityReport(tuple(rows(cells)), tuple(densities))


def write_report(
    folder: str, commands: Sequence[str], markdown_path: str = "", picture_path: str = ""
) -> None:
    """Write a folder's report: as JSON into the folder, as Markdown and as a picture where they are wanted.

    Args:
        folder: the folder with the results.
        commands: the command lines that make them again.
        markdown_path: a file with the markers, or a new one; empty: none.
        picture_path: the picture's file; empty: none.

    Raises:
        InvalidInput: there are no results, or the file has no markers.
    """
    report = read_report(folder)
    files = {os.path.join(folder, REPORT): as_json(report)}
    if markdown_path:
        text = ""
        if os.path.exists(markdown_path):
            with open(markdown_path, encoding="utf-8") as file:
                text = file.read()
        made = between_markers(text, markdown(report, commands), markdown_path)
        files[markdown_path] = made.encode()
    if picture_path:
        files[picture_path] = svg(report).encode()
    for path, content in files.items():
        with open(path, "wb") as output:
            output.write(content)
