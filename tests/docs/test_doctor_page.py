import re

from tests.docs.reading import ROOT

PAGE = (ROOT / "docs" / "node-doctor.md").read_text(encoding="utf-8")
FOLDER = ROOT / "src" / "overbook" / "node" / "doctor"
SOURCES = ("swap_checks", "system_checks", "diagnosis")


def found() -> dict[str, str]:
    """Return the severity of each word that a check can report."""
    texts = [
        (ROOT / "src/overbook/node/doctor" / f"{name}.py").read_text(encoding="utf-8") for name in SOURCES
    ]
    return {word: severity for text in texts for severity, word in FINDING.findall(text)}


FINDING = re.compile(r'Finding\(\s*"(Broken|Risky|Note)",\s*"(\w+)"')


def test_the_table_has_exactly_the_findings_with_their_severity() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (broken|risky|note) \|", PAGE, re.MULTILINE))

    assert len(rows) > 20
    assert rows == {word: severity.lower() for word, severity in found().items()}
