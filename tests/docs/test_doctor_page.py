import inspect
import re
from types import ModuleType

from overbook.node.doctor import diagnosis
from overbook.node.doctor.checks import CHECKS
from tests.docs.reading import ROOT

PAGE = (ROOT / "docs" / "node-doctor.md").read_text(encoding="utf-8")
FINDING = re.compile(r'Finding\(\s*"(Broken|Risky|Note)",\s*"(\w+)"')


def modules() -> list[ModuleType]:
    """Those of the checks in the list, and the one that says what no check does."""
    found = [inspect.getmodule(check.look) for check in CHECKS]
    return [diagnosis, *(module for module in found if module is not None)]


def found() -> dict[str, str]:
    """The severity of each word that a check can say."""
    sources = [inspect.getsource(module) for module in modules()]
    return {word: severity for source in sources for severity, word in FINDING.findall(source)}


def test_the_table_has_exactly_the_findings_with_their_severity() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (broken|risky|note) \|", PAGE, re.MULTILINE))

    assert len(rows) > 20
    assert rows == {word: severity.lower() for word, severity in found().items()}
