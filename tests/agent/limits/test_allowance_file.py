import stat
from pathlib import Path

import pytest

from overbook.agent.limits.allowance_file import MOST_BYTES, PATH, AllowanceFile


def test_allowance_file_has_a_line_per_container_and_a_last_one(tmp_path: Path) -> None:
    assert AllowanceFile(str(tmp_path)).keep({("b", "compute"): 4096, ("a", "volume"): 0})

    file = tmp_path / PATH
    assert file.read_text() == "a/volume 0\nb/compute 4096\nend\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_allowance_file_is_written_only_when_it_changes(tmp_path: Path) -> None:
    kept = AllowanceFile(str(tmp_path))
    kept.keep({("a", "c"): 1})
    inode = (tmp_path / PATH).stat().st_ino

    assert not kept.keep({("a", "c"): 1})
    assert (tmp_path / PATH).stat().st_ino == inode
    assert kept.keep({("a", "c"): 2})
    assert kept.keep({})
    assert (tmp_path / PATH).read_text() == "end\n"


def test_a_removed_allowance_file_comes_back(tmp_path: Path) -> None:
    kept = AllowanceFile(str(tmp_path))
    kept.keep({("a", "c"): 1})
    (tmp_path / PATH).unlink()

    assert kept.keep({("a", "c"): 1})


def test_a_killed_agents_partial_file_is_overwritten(tmp_path: Path) -> None:
    half = tmp_path / f"{PATH}.new"
    half.parent.mkdir(parents=True)
    half.write_text("a/c")

    assert AllowanceFile(str(tmp_path)).keep({("a", "c"): 1})
    assert [path.name for path in half.parent.iterdir()] == ["allowances"]


def test_removal_is_safe_to_repeat(tmp_path: Path) -> None:
    kept = AllowanceFile(str(tmp_path))
    kept.keep({})
    kept.remove()
    kept.remove()

    assert not (tmp_path / PATH).exists()


def test_allowance_file_is_bounded_and_reports_the_rest(tmp_path: Path) -> None:
    kept = AllowanceFile(str(tmp_path))
    kept.keep({(f"{number:08}" * 8, "c"): number for number in range(20_000)})

    data = (tmp_path / PATH).read_bytes()
    assert len(data) <= MOST_BYTES
    assert data.endswith(b"\nend\n")
    assert kept.left_out == 20_000 - (data.count(b"\n") - 1) > 0


def test_an_unwritable_folder_is_an_error_and_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    kept = AllowanceFile(str(tmp_path))
    with pytest.raises(OSError, match="run"):
        kept.keep({("a", "c"): 1})
    (tmp_path / "run").unlink()

    assert kept.keep({("a", "c"): 1})
