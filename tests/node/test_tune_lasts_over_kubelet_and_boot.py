import pathlib
import time
from collections.abc import Callable, Iterator

import pytest

from overbook.cli import main
from tests.node.running_systemd import UNITS, Systemd, remove_cgroup, running_systemd

pytestmark = pytest.mark.node

OVERCOMMIT = pathlib.Path("/proc/sys/vm/overcommit_memory")
PANIC = pathlib.Path("/proc/sys/vm/panic_on_oom")
SYSTEM_SWAP_MAX = pathlib.Path("/sys/fs/cgroup/system.slice/memory.swap.max")
STARTS = pathlib.Path("/run/kubelet-starts")
# As the kubelet: it is called so, and switches overcommit on some time after its start.
KUBELET = f"""[Service]
ExecStart=/bin/bash -c 'sleep 2; echo 1 >{OVERCOMMIT}; echo started >>{STARTS}; exec -a kubelet sleep 10000'
Restart=always
RestartSec=1
[Install]
WantedBy=overbook-test.target
"""


@pytest.fixture(scope="module")
def files() -> Iterator[None]:
    old = {file: file.read_text() for file in (OVERCOMMIT, PANIC)}
    (UNITS / "kubelet.service").write_text(KUBELET)
    yield
    (UNITS / "kubelet.service").unlink()
    for file, text in old.items():
        file.write_text(text)
    for name in ("system.slice", "init.scope", "user.slice"):
        remove_cgroup(SYSTEM_SWAP_MAX.parents[1] / name)


@pytest.fixture(scope="module")
def systemd(files: None) -> Iterator[Systemd]:
    assert files is None
    with running_systemd() as booted:
        booted.ctl("enable", "--now", "kubelet.service")
        wait(lambda: starts() == 1)
        yield booted


def starts() -> int:
    return len(STARTS.read_text().splitlines()) if STARTS.exists() else 0


def wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.1)


def overcommit() -> str:
    return OVERCOMMIT.read_text().strip()


def test_the_running_slice_is_kept_out_of_swap_at_once(systemd: Systemd) -> None:
    assert SYSTEM_SWAP_MAX.read_text() == "max\n"

    assert main(["node", "tune", "apply"]) == 0

    assert SYSTEM_SWAP_MAX.read_text() == "0\n"
    assert systemd.ctl("show", "--property=MemorySwapMax", "--value", "system.slice") == "0"
    assert overcommit() == "1"


def test_overcommit_is_off_again_after_every_start_of_the_kubelet(systemd: Systemd) -> None:
    assert main(["node", "tune", "apply", "--overcommit", "off"]) == 0
    assert overcommit() == "0"

    for start in (
        lambda: systemd.ctl("restart", "kubelet.service"),
        lambda: systemd.ctl("kill", "--signal=KILL", "kubelet.service"),  # it crashes
    ):
        seen = starts()
        start()
        wait(lambda seen=seen: starts() > seen)  # type: ignore[misc] # the kubelet has switched it on
        wait(lambda: overcommit() == "0")
        assert systemd.state("overbook-overcommit.service") == "active"


def test_a_kubelet_that_stops_takes_the_unit_along_and_never_waits_for_it(systemd: Systemd) -> None:
    systemd.ctl("stop", "kubelet.service")
    assert systemd.state("overbook-overcommit.service") == "inactive"
    program = pathlib.Path("/usr/local/libexec/overbook/overbook-overcommit")
    kept = program.read_bytes()
    program.write_text("exit 1\n")  # broken

    systemd.ctl("start", "kubelet.service")

    assert systemd.state("kubelet.service") == "active"
    program.write_bytes(kept)
    systemd.ctl("restart", "kubelet.service")


def test_removal_leaves_nothing_and_the_kubelet_running(systemd: Systemd) -> None:
    assert main(["node", "tune", "remove"]) == 0

    assert SYSTEM_SWAP_MAX.read_text() == "max\n"
    assert overcommit() == "1"
    assert systemd.state("kubelet.service") == "active"
    assert systemd.state("overbook-overcommit.service") == "inactive"
    assert not list(pathlib.Path("/etc").rglob("*overbook*.conf"))
    assert not list(UNITS.rglob("overbook-overcommit.service"))


def test_after_a_boot_everything_is_as_it_was_set(systemd: Systemd) -> None:
    assert systemd
    PANIC.write_text("1")
    assert main(["node", "tune", "apply", "--overcommit", "off"]) == 0
