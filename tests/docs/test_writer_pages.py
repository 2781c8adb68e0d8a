import pytest

from overbook.core.overcommit.writer import WRITERS, Writer
from tests.docs.reading import ROOT

FOLDER = ROOT / "docs" / "writers"


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_has_a_page_and_a_row_in_the_table(name: Writer) -> None:
    assert (FOLDER / f"{name}.md").is_file()
    assert f"\n| [`{name}`]({name}.md) |" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_is_named_where_the_setting_is_described(name: Writer) -> None:
    page = (ROOT / "docs" / "agent.md").read_text(encoding="utf-8")
    row = next(line for line in page.splitlines() if line.startswith("| `--swap-writer "))
    assert f"\\|{name}" in row
