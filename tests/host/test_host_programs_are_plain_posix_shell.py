import shutil
import subprocess
from pathlib import Path

import pytest

import overbook.host

PROGRAMS = sorted(Path(overbook.host.__file__).parent.glob("*.sh"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_shellcheck_finds_nothing(program: Path) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("there is no shellcheck; `apt-get install shellcheck` provides it")
    done = subprocess.run(  # noqa: S603 - ours
        [shellcheck, "--shell=sh", str(program)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
    assert done.returncode == 0
