"""What is installed is pinned; the locks follow what pyproject.toml asks for."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.docs.reading import ROOT

IMAGES = {"agent": (), "controller": (), "webhook": ("webhook",)}
"""The optional dependencies of each image."""
LOCKS = ["requirements-dev.txt", "requirements/build.txt", *(f"requirements/{name}.txt" for name in IMAGES)]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of(lock: str) -> str:
    return (ROOT / lock).read_text(encoding="utf-8")


def pins_of(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text_of(lock), re.MULTILINE))


def wanted(lock: str) -> Iterator[Requirement]:
    """Return what a lock has to pin."""
    extras = PROJECT["project"]["optional-dependencies"]
    if lock == "requirements/build.txt":
        yield from map(Requirement, PROJECT["build-system"]["requires"])
        return
    named = extras if lock == "requirements-dev.txt" else IMAGES[lock[13:-4]]
    for group in (PROJECT["project"]["dependencies"], *(extras[name] for name in named)):
        yield from (Requirement(text) for text in group if not text.startswith("overbook["))


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_dependency_to_a_version_that_fits(lock: str) -> None:
    known = pins_of(lock)
    pins = {each: known.get(canonicalize_name(each.name), "") for each in wanted(lock)}
    unmet = {str(each): pin for each, pin in pins.items() if not pin or pin not in each.specifier}
    assert unmet == {}, "run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = text_of(lock)
    pinned = re.findall(r"^[a-z0-9.-]+==", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z0-9.-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE))
    assert "://" not in text


@pytest.mark.parametrize("lock", LOCKS[1:])
def test_images_get_the_versions_that_tests_run_with(lock: str) -> None:
    tested = pins_of("requirements-dev.txt")
    assert {
        name: (pin, tested.get(name)) for name, pin in pins_of(lock).items() if tested.get(name) != pin
    } == {}
