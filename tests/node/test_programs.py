import os
import pathlib
import subprocess
from collections.abc import Sequence

import pytest

from overbook.node import hook as hook_service
from overbook.node import swap as swap_service
from overbook.node.tune import files as tune_service
from overbook_sandbox.node.node_programs import node_program
from tests.sandbox_parts import made

TUNE_FILES = tune_service.host_files((), overcommit_off=True)
SWAP_FILES = swap_service.host_files(swap_service.SwapSettings())
PROGRAMS = {
    "hook": hook_service.program_file(),
    "overcommit": TUNE_FILES[tune_service.OVERCOMMIT_PROGRAM][0],
    "swap": swap_service.program_file(),
}


def run(name: str, argv: Sequence[str], stdin: bytes = b"") -> tuple[int, str]:
    program = made(lambda: node_program(name))
    environment = program.environment(os.environ)
    # Units of systemd that are needed may be missing on this host.
    environment["SYSTEMD_UNIT_PATH"] = f"{program.tree}/lib/systemd/system"
    done = subprocess.run(
        argv,
        env=environment,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("name", PROGRAMS)
def test_shellcheck_finds_nothing(name: str) -> None:
    assert run("shellcheck", ["shellcheck", "--shell=sh", "-"], PROGRAMS[name]) == (0, "")


@pytest.mark.parametrize(
    ("program", "paths"),
    [
        (
            swap_service.PROGRAM,
            [f"{swap_service.UNIT_FOLDER}/{name}" for name in (swap_service.ON_UNIT, swap_service.MAKE_UNIT)],
        ),
        (tune_service.OVERCOMMIT_PROGRAM, [tune_service.OVERCOMMIT_UNIT_FILE]),
    ],
)
def test_systemd_finds_nothing(tmp_path: pathlib.Path, program: str, paths: list[str]) -> None:
    there = tmp_path / "program"  # the program of these units is not installed here
    there.write_bytes(b"#!/bin/sh\n")
    there.chmod(0o755)
    units = [tmp_path / os.path.basename(path) for path in paths]
    for unit, path in zip(units, paths, strict=True):
        content = {**SWAP_FILES, **TUNE_FILES}[path][0].decode()
        assert program in content
        unit.write_text(content.replace(f"/{program}", str(there)))
    status, said = run("systemd", ["systemd-analyze", "verify", "--man=no", *map(str, units)])
    assert [line for line in said.splitlines() if "overbook" in line] == []
    assert status == 0
