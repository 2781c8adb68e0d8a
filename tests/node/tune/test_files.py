import pathlib
import re
import subprocess
import time

import pytest

from overbook.node.tune.files import OVERCOMMIT_PROGRAM, OVERCOMMIT_UNIT_FILE, SYSCTL_FILE, host_files
from overbook.node.tune.rules import WantedSetting

OFF = host_files((), overcommit_off=True)
UNIT = OFF[OVERCOMMIT_UNIT_FILE][0].decode()


@pytest.fixture
def program(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "overbook-overcommit"
    path.write_bytes(OFF[OVERCOMMIT_PROGRAM][0])
    path.chmod(0o755)
    return path


def test_the_kubelet_waits_for_nothing_and_needs_nothing() -> None:
    assert "After=kubelet.service" in UNIT
    assert "PartOf=kubelet.service" in UNIT
    assert not re.search("^(RequiredBy|UpheldBy|Before)=", UNIT, re.MULTILINE)


def test_only_the_kernels_own_settings_are_set_at_boot() -> None:
    wishes = (WantedSetting("vm.swappiness", "0", "60", "why"), WantedSetting("vm.unknown", None, "1", "why"))
    assert b"vm.unknown" not in host_files(wishes)[SYSCTL_FILE][0]
    assert b"vm.swappiness = 60\n" in host_files(wishes)[SYSCTL_FILE][0]


def test_overcommit_is_switched_off_each_time_it_is_on(tmp_path: pathlib.Path, program: pathlib.Path) -> None:
    setting = tmp_path / "sys/vm/overcommit_memory"
    setting.parent.mkdir(parents=True)
    setting.write_text("1\n")
    environment = {"PATH": "/usr/bin:/bin", "OVERBOOK_PROC": str(tmp_path), "OVERBOOK_SECONDS": "0.05"}
    with subprocess.Popen(["sh", program], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "vm.overcommit_memory was 1 and is 0 again\n"
            assert setting.read_text() == "0\n"
            time.sleep(0.2)  # nothing is printed or written while the value is right
            setting.write_text("2\n")
            assert process.stdout.readline() == "vm.overcommit_memory was 2 and is 0 again\n"
        finally:
            process.kill()
