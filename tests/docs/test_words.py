"""Words that the glossary replaces: a page says the Kubernetes word, in its text as in its tables."""

import re
from pathlib import Path

import pytest

from tests.docs.reading import PAGES, ROOT, name, prose

INSTEAD = {
    r"mend(s|ed)?": "fix",
    r"(ask(s|ed)? to go|who goes)": "evict, or: a pod has to leave",
    r"runs? wild": "takes more and more memory",
    r"the original agent": "wasp-agent",
    r"(no|any|some|every)body|whoever": "a noun: no pod, a program, the owner",
    r"(his|him|he)": "its",
    r"anew": "again",
}
OTHER_PAGES = {"CHANGELOG.md", "README.ja.md"}
FROM_CODE = re.compile(r"^\| (agent|controller|webhook|people with)\b.*$", re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if name(page) not in OTHER_PAGES], ids=name)
def test_a_page_keeps_to_the_glossary(page: Path) -> None:
    # The table of rights is the code's own text, and a quoted message is as the program prints it.
    text = FROM_CODE.sub("", prose(page.read_text(encoding="utf-8")))
    found = {
        match.group(): better
        for word, better in INSTEAD.items()
        for match in re.finditer(rf"\b(?:{word})\b", text, re.IGNORECASE)
    }
    assert found == {}


def test_promise_is_said_of_guests_only() -> None:
    for page in (ROOT / "docs" / "rules").glob("*.md"):
        text = prose(page.read_text(encoding="utf-8"))
        sentences = [part for part in re.split(r"[.:;\n]\s", text) if "promis" in part.lower()]
        assert all("guest" in sentence or "VM" in sentence for sentence in sentences), sentences
