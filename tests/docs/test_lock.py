"""What is installed for development is pinned; the lock follows what pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.reading import ROOT

LOCK = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
PINS = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", LOCK, re.MULTILINE))


def wanted() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from (Requirement(text) for text in group if not text.startswith("overbook["))


def test_lock_pins_every_dependency_to_a_version_that_fits() -> None:
    pins = {each: PINS.get(canonicalize_name(each.name), "") for each in wanted()}
    unmet = {str(each): pin for each, pin in pins.items() if not pin or pin not in each.specifier}
    assert unmet == {}, "run `make lock`"


def test_lock_holds_hashes_and_no_address() -> None:
    pinned = re.findall(r"^[a-z0-9.-]+==", LOCK, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9.-]+==[^\n]*\\\n +--hash=sha256:", LOCK, re.MULTILINE))
    assert "://" not in LOCK
