import pathlib

import pytest

from overbook_sandbox.machine.cache import cache_folder, folder_in_the_making, write_whole


def test_cache_folder_follows_the_environment() -> None:
    assert cache_folder({"OVERBOOK_CACHE": "/a", "XDG_CACHE_HOME": "/b"}) == "/a"
    assert cache_folder({"XDG_CACHE_HOME": "/b"}) == "/b/overbook"
    assert cache_folder({}).endswith("/.cache/overbook")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: pathlib.Path) -> None:
    final = tmp_path / "final"
    with folder_in_the_making(str(final)) as making:
        pathlib.Path(making, "file").write_text("first")
        assert not final.exists()
    with pytest.raises(OSError, match="full"):
        make_and_fail(final)
    assert (final / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def make_and_fail(final: pathlib.Path) -> None:
    with folder_in_the_making(str(final)) as making:
        pathlib.Path(making, "file").write_text("second")
        raise OSError("full")


def test_a_file_is_replaced_whole(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "file"
    write_whole(str(target), b"first")
    write_whole(str(target), b"second")
    assert target.read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
