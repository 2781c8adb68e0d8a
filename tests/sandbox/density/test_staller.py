"""The disk that stalls stands still for three seconds of eight, from the event to the end."""

import pathlib
import time

import pytest

from overbook_sandbox.density.node.staller import Staller, stands_still


class RecordedDisk:
    def __init__(self, path: pathlib.Path, fails_after: int = 100) -> None:
        self._path = path
        self._left = fails_after

    def stall(self, *, on: bool) -> None:
        self._left -= 1
        if self._left < 0:
            raise OSError("the limit is not valid")
        with self._path.open("a") as file:
            file.write("still " if on else "works ")


def wait_for(path: pathlib.Path, words: str) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or path.read_text() != words:
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "still"), [(-1, False), (0, True), (2.9, True), (3, False), (7.9, False), (8, True)]
)
def test_a_disk_stands_still_three_seconds_of_eight(seconds: float, still: bool) -> None:
    assert stands_still(seconds) == still


def test_a_disk_that_stands_still_works_again_at_the_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "said"
    staller = Staller(RecordedDisk(path))
    wait_for(path, "still works ")
    staller.begin()
    wait_for(path, "still works still ")
    staller.end()
    assert path.read_text() == "still works still works "


def test_a_disk_that_cannot_stand_still_is_an_error(tmp_path: pathlib.Path) -> None:
    staller = Staller(RecordedDisk(tmp_path / "said", fails_after=2))
    staller.begin()
    with pytest.raises(ChildProcessError):
        staller.end()
