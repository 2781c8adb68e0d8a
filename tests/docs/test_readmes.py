from tests.docs.reading import ROOT, consoles, headings, links

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
JAPANESE = (ROOT / "README.ja.md").read_text(encoding="utf-8")


def test_both_readmes_have_the_same_headings() -> None:
    assert [level for level, _ in headings(JAPANESE)] == [level for level, _ in headings(ENGLISH)]


def test_both_readmes_have_the_same_commands_and_output() -> None:
    assert consoles(JAPANESE) == consoles(ENGLISH)
    assert blocks(JAPANESE) == blocks(ENGLISH)


def test_both_readmes_link_the_same_pages() -> None:
    assert sorted(links(JAPANESE)) == sorted(links(ENGLISH))


def test_tables_of_both_readmes_have_as_many_rows() -> None:
    assert rows(JAPANESE) == rows(ENGLISH)


def blocks(text: str) -> list[str]:
    return text.split("```")[1::2]


def rows(text: str) -> int:
    return sum(line.startswith("|") for line in text.splitlines())
