from tests.docs.reading import ROOT, consoles, headings, links

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
JAPANESE = (ROOT / "README.ja.md").read_text(encoding="utf-8")


def test_the_same_headings_in_number_and_level() -> None:
    assert [level for level, _ in headings(JAPANESE)] == [level for level, _ in headings(ENGLISH)]


def test_the_same_commands_with_the_same_output() -> None:
    assert consoles(JAPANESE) == consoles(ENGLISH)
    assert blocks(JAPANESE) == blocks(ENGLISH)


def test_the_same_pages_are_linked() -> None:
    assert sorted(links(JAPANESE)) == sorted(links(ENGLISH))


def test_tables_have_as_many_rows() -> None:
    assert rows(JAPANESE) == rows(ENGLISH)


def blocks(text: str) -> list[str]:
    return text.split("```")[1::2]


def rows(text: str) -> int:
    return sum(line.startswith("|") for line in text.splitlines())
