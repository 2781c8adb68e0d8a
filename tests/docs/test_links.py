from pathlib import Path

import pytest

from tests.docs.reading import PAGES, ROOT, anchors, links, name


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text(encoding="utf-8")):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            broken.append(f"{link}: there is no {name(target)}")
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            broken.append(f"{link}: no heading of {name(target)} is called so")
    assert not broken


def test_the_index_has_every_rule_and_every_decision() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text("utf-8"))}
    folders = (ROOT / "docs" / "rules", ROOT / "docs" / "adr")
    assert {page for folder in folders for page in folder.glob("*.md")} - linked == set()


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "rules").glob("*.md")), ids=name)
def test_a_rule_has_one_page_that_says_where_it_is_from(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "## Source and code" in text
    assert len(text.splitlines()) <= 90
