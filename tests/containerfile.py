"""The Containerfile is read: what each of its stages does."""

from typing import NamedTuple

from tests.docs.reading import ROOT


class Step(NamedTuple):
    """One instruction of the Containerfile."""

    stage: str
    word: str
    rest: str


def steps() -> list[Step]:
    stage, found = "", []
    text = (ROOT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            if word == "FROM":
                stage = rest.rpartition(" AS ")[2]
            found.append(Step(stage, word, rest))
    return found


def one(stage: str, word: str) -> str:
    """Return the instruction of a stage, or of the stage that it begins with."""
    own = [step.rest for step in steps() if step.stage == stage and step.word == word]
    if own:
        return own[-1]
    return one(base(stage), word)


def base(stage: str) -> str:
    return next(s.rest.partition(" ")[0] for s in steps() if s.stage == stage and s.word == "FROM")
