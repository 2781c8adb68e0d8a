import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.docs.reading import ROOT
from tests.docs.walkthrough import Walkthrough, walkthroughs

SECTIONS = walkthroughs((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
FOLDERS = ("docs", "deploy", "examples", "scripts", "src", "tests")
BIN = Path(sys.executable).parent


def copy_of_the_repository(root: Path) -> Path:
    """What tests read, with the compiled modules of this one."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.pyc.*"))
    for path in ROOT.iterdir():
        if path.is_file() and path.name != ".git":
            shutil.copy2(path, root)
    return root


def run(root: Path, *command: str | Path) -> None:
    """Run a program on a copy of the repository, instead of on this one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**own, "PYTHONPATH": str(root / "src")}
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert ended.returncode == 0, ended.stdout + ended.stderr


def follow(root: Path, sections: Iterable[Walkthrough]) -> None:
    for section in sections:
        for change in section.changes:
            change.apply(root)


def test_page_has_a_section_for_each_extension() -> None:
    things = {"a detector", "a doctor's check", "a swap writer", "a command", "a page of explain", "a metric"}
    assert {f"Adding {thing}" for thing in things} <= {section.title for section in SECTIONS}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_following_the_section_ends_in_a_passing_test(section: Walkthrough, tmp_path: Path) -> None:
    assert any(change.path.startswith("src/overbook/") for change in section.changes)
    assert any(
        change.path.startswith(argument)
        for change in section.changes
        for argument in section.tests
        if argument.startswith("tests/")
    )
    root = copy_of_the_repository(tmp_path)
    follow(root, [section])
    run(root, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *section.tests)


def test_all_sections_together_pass_the_linters(tmp_path: Path) -> None:
    root = copy_of_the_repository(tmp_path)
    follow(root, SECTIONS)
    modules = sorted({module for section in SECTIONS for module in section.modules})
    run(root, BIN / "ruff", "check", "--no-cache", *modules)
    run(root, BIN / "ruff", "format", "--no-cache", "--check", *modules)
    run(root, BIN / "lint-imports", "--no-cache")
    run(root, BIN / "mypy", *modules)


@pytest.mark.parametrize(
    ("block", "wrong"),
    [
        ("# there\n     old,\n+    new,\n", "0 times"),
        ("# there\n old\n+new\n", "2 times"),
        ("# there\n+new\n", "where these lines go"),
        ("# there\n old\n*new\n", "begins with"),
        ("no path\n old\n", "path of its file"),
    ],
)
def test_a_diff_that_does_not_fit_is_an_error(tmp_path: Path, block: str, wrong: str) -> None:
    (tmp_path / "there").write_text("old\nother\nold\n", encoding="utf-8")
    with pytest.raises(ValueError, match=wrong):
        follow(tmp_path, walkthroughs(f"## Adding a thing\n\n```diff\n{block}```\n"))


def test_a_new_file_that_is_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("old\n", encoding="utf-8")
    with pytest.raises(ValueError, match="said to be new"):
        follow(tmp_path, walkthroughs("## Adding a thing\n\n```python\n# there\nnew\n```\n"))


def test_a_heading_within_a_block_ends_no_section() -> None:
    page = (
        "## Adding a thing\n\n```markdown\n# page.md\n## Title\n```\n\n```python\n# a.py\n```\n\n## Other\n"
    )
    (section,) = walkthroughs(page)
    assert [change.path for change in section.changes] == ["page.md", "a.py"]
