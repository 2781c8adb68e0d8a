import os
import pathlib
import subprocess
import sys

CONFTEST = """
from tests.no_skips import NoSkips

def pytest_configure(config):
    config.pluginmanager.register(NoSkips())
"""
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="no systemd")
def test_marked():
    pass

def test_skipping():
    pytest.skip("no shellcheck")

@pytest.mark.xfail
def test_known_to_fail():
    assert False

def test_passing():
    pass
"""


def test_a_skip_is_counted_and_names_what_was_missing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    done = subprocess.run(  # noqa: S603 - our own argv
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in done.stdout
    assert done.returncode == 1
    for missing in ("systemd", "shellcheck"):
        assert f"nothing may be skipped in CI: Skipped: no {missing}" in done.stdout
