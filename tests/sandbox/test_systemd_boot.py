import pathlib

import pytest

from overbook_sandbox.machine.systemd_boot import systemd_job


def test_units_are_started_with_the_script(tmp_path: pathlib.Path) -> None:
    job = systemd_job(
        "echo here\n",
        str(tmp_path),
        {"pods.slice": "[Slice]\n"},
        prepare="mount /dev/vda /disk",
        environment={"WORDS": 'a "quoted" 100 %'},
    )
    assert job.first_process
    assert job.argv == ("/bin/sh", f"{tmp_path}/boot.sh", str(tmp_path))
    assert (tmp_path / "script.sh").read_text() == "echo here\n"
    assert "mount /dev/vda /disk" in (tmp_path / "boot.sh").read_text()
    units = {path.name: path.read_text() for path in (tmp_path / "units").iterdir()}
    assert set(units) == {"pods.slice", "sandbox.service", "sandbox.target"}
    assert units["sandbox.target"] == "[Unit]\nWants=multi-user.target sandbox.service pods.slice\n"
    assert r'"WORDS=a \"quoted\" 100 %%"' in units["sandbox.service"]


@pytest.mark.parametrize("systemd", [True, False])
def test_systemd_or_the_script_is_the_first_process(tmp_path: pathlib.Path, systemd: bool) -> None:
    job = systemd_job("echo here\n", str(tmp_path), {}, systemd=systemd)
    last = (tmp_path / "boot.sh").read_text().splitlines()[-1]
    assert job.first_process == systemd
    assert last.startswith("exec /lib/systemd/systemd " if systemd else 'exec /bin/sh "$share/script.sh"')
