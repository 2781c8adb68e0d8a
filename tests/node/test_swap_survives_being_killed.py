import os
import pathlib
import signal
from collections.abc import Iterator

import pytest

from overbook.kernel.swaps import read_swaps
from overbook.sandbox.node_programs import node_program
from tests.node.swap_program import MIB, SwapProgram, areas_bytes, mount_disk, state, unmount_disk

pytestmark = pytest.mark.node(memory="512Mi", swap="768Mi")

ACTING = ("cryptsetup", "dd", "losetup", "mkdir", "mkswap", "mv", "rm", "rmdir", "swapoff", "swapon", "sync")
"""All programs of it that change something; being killed at one that only reads leaves nothing new."""
SMALL, LARGE = 8 * MIB, 12 * MIB


@pytest.fixture(scope="module", autouse=True)
def disk() -> Iterator[None]:
    mount_disk()
    yield
    unmount_disk()


class Killer:
    """A folder of programs of which the Nth that has run ends the whole process group."""

    def __init__(self, folder: pathlib.Path, path: str) -> None:
        self._counter = folder / "counter"
        self._folder = folder / "bin"
        self._folder.mkdir()
        self._path = path
        for name in ACTING:
            program = self._folder / name
            program.write_text(
                "#!/bin/sh\n"
                f'PATH={path}\n{name} "$@"\nstatus=$?\n'
                f"read -r left <{self._counter}\necho $((left - 1)) >{self._counter}\n"
                '[ "$left" -ne 1 ] || kill -9 0\nexit $status\n'
            )
            program.chmod(0o755)

    def after(self, number: int) -> dict[str, str]:
        self._counter.write_text(f"{number}\n")
        return {"PATH": f"{self._folder}:{self._path}"}


@pytest.mark.parametrize("encrypt", [False, True], ids=["plain", "encrypted"])
def test_killed_at_every_step_of_growing_and_removing_the_next_run_ends_well(
    tmp_path: pathlib.Path, encrypt: bool
) -> None:
    environment = node_program("cryptsetup").environment(os.environ)
    swap = SwapProgram(tmp_path, environment)
    killer = Killer(tmp_path, environment["PATH"])
    kills = 0
    for command, sizes in (("apply", (SMALL, LARGE)), ("remove", (SMALL, SMALL))):
        for number in range(1, 60):
            small, large = sizes if number % 2 else sizes[::-1]
            status, said = swap.run("apply", size_bytes=small, encrypt=encrypt)
            assert status == 0, said

            status, said = swap.run(command, size_bytes=large, environment=killer.after(number))
            if status == 0:
                break
            kills += 1

            assert status == -signal.SIGKILL, said
            if command == "apply":  # some swap is on at every moment
                assert set(areas_bytes()) & {small, large}
            status, said = swap.run(command)
            assert status == 0, f"killed after program {number} of {command}: {said}"
            if command == "apply":
                assert len(swap.files()) == 1
                assert areas_bytes() == [large - 4096 if encrypt else large]
                assert "state=Ready" in state()
            else:
                assert swap.files() == []
        else:
            pytest.fail(f"{command} never ended")
    assert kills > 12
    assert swap.run("remove")[0] == 0
    assert read_swaps() == ()
    assert [name for name in os.listdir("/dev/mapper") if name != "control"] == []
