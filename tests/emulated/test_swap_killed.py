import os
import pathlib
import signal
from collections.abc import Iterator, Sequence

import pytest

from overbook.kernel.swaps import read_swaps
from overbook_sandbox.node.node_programs import node_program
from tests.emulated.swap_program import MIB, SwapProgram, areas_bytes, mount_disk, state, unmount_disk

pytestmark = pytest.mark.node(memory="512Mi", swap="768Mi")

PLAIN = ("dd", "mkswap", "mv", "rm", "rmdir", "swapoff", "swapon", "sync")
"""What changes something. A kill at a program that only reads leaves nothing that is not there already."""
ENCRYPTED = ("cryptsetup", "losetup", "swapoff", "swapon")
SIZES = (8 * MIB, 12 * MIB)


@pytest.fixture(scope="module", autouse=True)
def disk() -> Iterator[None]:
    mount_disk()
    yield
    unmount_disk()


@pytest.fixture
def swap(tmp_path: pathlib.Path) -> Iterator[SwapProgram]:
    made = SwapProgram(tmp_path, node_program("cryptsetup").environment(os.environ))
    yield made
    assert made.run("remove")[0] == 0
    assert read_swaps() == ()
    assert [name for name in os.listdir("/dev/mapper") if name != "control"] == []


class Killer:
    """A folder's programs count their runs, and the Nth run kills the whole process group."""

    def __init__(self, folder: pathlib.Path, path: str, programs: Sequence[str]) -> None:
        self._counter = folder / "counter"
        self._folder = folder / "bin"
        self._folder.mkdir()
        self._path = path
        for name in programs:
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


@pytest.mark.parametrize(
    ("programs", "encrypt", "least"), [(PLAIN, False, 10), (ENCRYPTED, True, 6)], ids=["plain", "encrypted"]
)
def test_a_change_killed_at_any_step_ends_well_in_the_next_run(
    swap: SwapProgram, tmp_path: pathlib.Path, programs: Sequence[str], encrypt: bool, least: int
) -> None:
    killer = Killer(tmp_path, swap.environment["PATH"], programs)
    status, said = swap.run("apply", size_bytes=SIZES[0], encrypt=encrypt)
    assert status == 0, said
    for number in range(1, 40):
        size = SIZES[number % 2]
        status, said = swap.run("apply", size_bytes=size, environment=killer.after(number))
        if status == 0:
            break
        assert status == -signal.SIGKILL, said
        assert areas_bytes() != []

        status, said = swap.run("apply")

        assert status == 0, f"killed after program {number}: {said}"
        assert areas_bytes() == [size]
        assert len(swap.files()) == 1
        assert "state=Ready" in state()
    assert number > least


@pytest.mark.parametrize(
    ("programs", "encrypt", "least"), [(PLAIN, False, 3), (ENCRYPTED, True, 2)], ids=["plain", "encrypted"]
)
def test_a_removal_killed_at_any_step_ends_in_the_next_run(
    swap: SwapProgram, tmp_path: pathlib.Path, programs: Sequence[str], encrypt: bool, least: int
) -> None:
    killer = Killer(tmp_path, swap.environment["PATH"], programs)
    for number in range(1, 20):
        status, said = swap.run("apply", size_bytes=SIZES[0], encrypt=encrypt)
        assert status == 0, said
        if swap.run("remove", environment=killer.after(number))[0] == 0:
            break

        status, said = swap.run("remove")

        assert status == 0, f"killed after program {number}: {said}"
        assert read_swaps() == ()
        assert not swap.folder.exists()
    assert number > least
