"""Files of the code that a page names: ``core/overcommit/swap.py`` is below ``src/overbook``."""

import re
from pathlib import Path

import pytest

from tests.docs.reading import PAGES, ROOT, name

ABOVE = (ROOT / "src" / "overbook", ROOT / "src" / "overbook_sandbox", ROOT / "src", ROOT)
HISTORY = {"CHANGELOG.md"}
# Whole paths only: not a part of a longer path or of an address.
PATH = re.compile(r"(?<![\w./@-])((?:[\w-]+/)+[\w-]+\.(?:py|sh))(?![\w/])")
ALONE = re.compile(r"`([\w-]+\.py)`")


def paths(text: str) -> set[str]:
    """What looks like a file of ours in a page's prose and tables."""
    return set(PATH.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)))


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in HISTORY], ids=name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    missing = {
        path
        for path in paths(page.read_text(encoding="utf-8"))
        if not any((folder / path).exists() for folder in ABOVE)
    }
    assert missing == set()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_module_of_a_code_line_is_named_with_its_folder(page: Path) -> None:
    sentences = re.findall(r"Code: .*?(?:\n\n|\Z)", page.read_text(encoding="utf-8"), re.DOTALL)
    assert [module for sentence in sentences for module in ALONE.findall(sentence)] == []


def test_paths_were_found() -> None:
    assert "core/overcommit/swap.py" in paths((ROOT / "README.md").read_text(encoding="utf-8"))
