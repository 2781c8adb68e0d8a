import json
import os
import pathlib
import signal
import stat
from collections.abc import Callable, Iterator

import pytest

from overbook.cli import main
from overbook.node.tune import node as tuned_node
from overbook.node.tune import steps as tuning_steps
from overbook.node.tune.rules import Overcommit
from tests.cli.commands.node.untuned_node import DISK, files_left, run_kubelet, settings, untuned_node

BEFORE = "var/lib/overbook/before.json"
STRICT = "kind: KubeletConfiguration\nprotectKernelDefaults: true\n"
LENIENT = "kind: KubeletConfiguration\nevictionHard: {memory.available: 200Mi}\n"
GONE_BACK = {"sys/fs/cgroup/system.slice/io.latency": f"{DISK} target=max"}
"""This value removes a target; the kernel then prints nothing for the disk."""


@pytest.fixture
def root(tmp_path: pathlib.Path) -> pathlib.Path:
    return untuned_node(tmp_path)


def tune(root: pathlib.Path, *words: str) -> int:
    return main(["node", "tune", *words, "--fsroot", str(root)])


def test_apply_sets_everything_now_and_for_the_next_boot(root: pathlib.Path) -> None:
    run_kubelet(root, LENIENT)

    assert tune(root, "apply") == 0

    assert settings(root) == {
        "proc/sys/vm/overcommit_memory": "1",
        "proc/sys/vm/panic_on_oom": "0",
        "proc/sys/vm/swappiness": "60",
        "proc/sys/vm/watermark_scale_factor": "253",
        "sys/fs/cgroup/system.slice/io.latency": f"{DISK} target=50000",
        "sys/fs/cgroup/system.slice/memory.swap.current": "8388608",
        "sys/fs/cgroup/system.slice/memory.swap.max": "0",
    }
    lasting = (root / "etc/sysctl.d/99-zz-overbook.conf").read_text()
    assert [line for line in lasting.splitlines() if not line.startswith("#")] == [
        "vm.overcommit_memory = 1",
        "vm.panic_on_oom = 0",
        "vm.swappiness = 60",
        "vm.watermark_scale_factor = 253",
    ]
    drop_in = (root / "etc/systemd/system/system.slice.d/50-overbook.conf").read_text()
    assert drop_in.splitlines()[1:] == ["[Slice]", "MemorySwapMax=0", "IODeviceLatencyTargetSec=/ 50ms"]


def test_a_kernel_without_io_latency_gets_no_target(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = untuned_node(tmp_path, io_latency=False)

    assert tune(root, "apply") == 0

    drop_in = (root / "etc/systemd/system/system.slice.d/50-overbook.conf").read_text()
    assert "Latency" not in drop_in
    assert "this kernel has no io.latency" in capsys.readouterr().out


def test_system_memory_in_swap_is_reported(root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(root, "status") == 1

    assert "8Mi of system.slice are still in swap from earlier" in capsys.readouterr().out


def test_old_values_are_kept_from_the_first_change_on(root: pathlib.Path) -> None:
    tune(root, "apply")
    first = json.loads((root / BEFORE).read_text())["settings"]
    assert stat.S_IMODE((root / BEFORE).stat().st_mode) == 0o600
    assert {name: entry["before"] for name, entry in first.items()} == {
        "vm.overcommit_memory": "0",
        "vm.panic_on_oom": "1",
        "vm.swappiness": "0",
        "vm.watermark_scale_factor": "10",
        "system.slice/memory.swap.max": "max",
        f"system.slice/io.latency/{DISK}": "none",
    }

    tune(root, "apply", "--overcommit", "off")
    (root / "proc/sys/vm/swappiness").write_text("200\n")
    tune(root, "apply")

    again = json.loads((root / BEFORE).read_text())["settings"]
    assert {name: entry["before"] for name, entry in again.items()} == {
        name: entry["before"] for name, entry in first.items()
    }


def test_remove_puts_everything_back_and_leaves_nothing(root: pathlib.Path) -> None:
    before = settings(root)
    tune(root, "apply", "--overcommit", "off")

    assert tune(root, "remove") == 0

    assert settings(root) == before | GONE_BACK
    assert files_left(root) == []
    assert tune(root, "remove") == 0


def test_a_setting_changed_since_stays_and_is_reported(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(root, "apply")
    (root / "proc/sys/vm/swappiness").write_text("30\n")

    assert tune(root, "remove") == 0

    assert settings(root)["proc/sys/vm/swappiness"] == "30"
    assert (
        "vm.swappiness stays 30: it was changed since by another program or person" in capsys.readouterr().out
    )
    assert settings(root)["proc/sys/vm/panic_on_oom"] == "1"


@pytest.mark.parametrize("words", [("plan",), ("apply", "--dry-run"), ("status",), ("remove", "--dry-run")])
def test_read_only_commands_change_no_setting(root: pathlib.Path, words: tuple[str, ...]) -> None:
    before = settings(root)

    assert tune(root, *words, "--output", "json") == int(words == ("status",))

    assert settings(root) == before
    assert files_left(root) == []


def test_a_plan_lists_what_apply_does_and_is_then_empty(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(root, "plan", "--output", "json")
    planned = json.loads(capsys.readouterr().out)["steps"]
    assert any(step.startswith("vm.panic_on_oom from 1 to 0") for step in planned)
    assert "write /etc/sysctl.d/99-zz-overbook.conf" in planned

    tune(root, "apply")
    capsys.readouterr()
    # The kernel's part: the watermark follows the factor.
    zone = (root / "proc/zoneinfo").read_text()
    (root / "proc/zoneinfo").write_text(zone.replace("low      20480", "low      120000"))

    assert tune(root, "status") == 0
    capsys.readouterr()
    tune(root, "plan", "--output", "json")
    assert json.loads(capsys.readouterr().out)["steps"] == []


def test_overcommit_stays_as_it_was_chosen(root: pathlib.Path) -> None:
    tune(root, "apply", "--overcommit", "off")
    assert settings(root)["proc/sys/vm/overcommit_memory"] == "0"
    unit = root / "etc/systemd/system/overbook-overcommit.service"
    assert unit.exists()

    tune(root, "apply")
    assert settings(root)["proc/sys/vm/overcommit_memory"] == "0"

    tune(root, "apply", "--overcommit", "on")
    assert settings(root)["proc/sys/vm/overcommit_memory"] == "1"
    assert not unit.exists()


@pytest.mark.parametrize("running", [True, False])
def test_overcommit_off_is_refused_where_it_stops_the_kubelet(
    root: pathlib.Path, running: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    before = settings(root)
    if running:
        run_kubelet(root, STRICT)
    else:
        (root / "var/lib/kubelet").mkdir(parents=True)
        (root / "var/lib/kubelet/config.yaml").write_text(LENIENT)

    assert tune(root, "apply", "--overcommit", "off") == 1

    assert "protectKernelDefaults: true" in capsys.readouterr().err
    assert settings(root) == before
    assert not (root / BEFORE).exists()


def test_the_unit_follows_the_kubelet_by_its_units_name(root: pathlib.Path) -> None:
    run_kubelet(root, LENIENT)
    (root / "proc/4711/cgroup").write_text("0::/system.slice/k3s.service\n")

    tune(root, "apply", "--overcommit", "off")

    unit = (root / "etc/systemd/system/overbook-overcommit.service").read_text()
    assert "WantedBy=k3s.service" in unit
    assert "PartOf=k3s.service" in unit
    assert "kubelet.service" not in unit


@pytest.mark.parametrize("half", ["", '{"version": 1, "settings": {"vm.swap', '{"version": 2}', "[]"])
def test_a_partial_file_of_old_values_stops_every_command(
    root: pathlib.Path, half: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(root, "apply")
    applied = settings(root)
    (root / BEFORE).write_text(half)
    capsys.readouterr()

    assert tune(root, "apply", "--overcommit", "off") == 2
    assert tune(root, "remove") == 2

    assert BEFORE in capsys.readouterr().err
    assert settings(root) == applied
    assert (root / BEFORE).read_text() == half


def test_two_tune_commands_do_not_run_at_once(root: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tuning_steps.tuning_lock(str(root)):
        assert tune(root, "apply") == 2

    assert "another `overbook node tune` runs" in capsys.readouterr().err


Steps = Callable[[tuned_node.TunedNode], Iterator[str]]


def killed(root: pathlib.Path, steps: Steps, overcommit: Overcommit, after: int) -> bool:
    """Run that many steps in a process that is then killed; return whether there were so many."""
    child = os.fork()
    if child == 0:
        for number, _ in enumerate(steps(tuned_node.look(str(root), overcommit)), start=1):
            if number == after:
                os.kill(os.getpid(), signal.SIGKILL)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_tune_killed_after_any_step_can_be_repeated_or_undone(tmp_path: pathlib.Path) -> None:
    stopped = 0
    for overcommit in ("on", "off"):
        for after in range(1, 20):
            root = untuned_node(tmp_path / f"{overcommit}{after}")
            before = settings(root)

            reached = killed(root, tuning_steps.apply, overcommit, after)
            assert tune(root, "apply") == 0
            assert settings(root)["proc/sys/vm/panic_on_oom"] == "0"
            reached |= killed(root, tuning_steps.remove_tuning, overcommit, after)
            assert tune(root, "remove") == 0

            assert settings(root) == before | GONE_BACK
            assert files_left(root) == []
            if not reached:
                break
            stopped += 1
    assert stopped > 15


def in_runtime_slice(root: pathlib.Path) -> pathlib.Path:
    """The kubelet runs in a slice of its own, as on Amazon's images."""
    run_kubelet(root, LENIENT)
    (root / "proc/4711/cgroup").write_text("0::/runtime.slice/kubelet.service\n")
    own = root / "sys/fs/cgroup/runtime.slice"
    own.mkdir()
    for name, text in (("memory.swap.max", "max\n"), ("memory.swap.current", "4096\n"), ("io.latency", "")):
        (own / name).write_text(text)
    return own


def test_the_kubelets_own_slice_is_kept_out_of_swap_too(root: pathlib.Path) -> None:
    own = in_runtime_slice(root)

    assert tune(root, "apply") == 0

    assert (own / "memory.swap.max").read_text().strip() == "0"
    assert "50000" in (own / "io.latency").read_text()
    drop_in = root / "etc/systemd/system/runtime.slice.d/50-overbook.conf"
    assert "MemorySwapMax=0" in drop_in.read_text()
    assert tune(root, "status") == 0
    assert tune(root, "remove") == 0
    assert (own / "memory.swap.max").read_text().strip() == "max"
    assert not drop_in.parent.exists()


def test_a_soft_threshold_counts_if_it_is_the_higher_one(
    root: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_kubelet(root, f"{LENIENT}evictionSoft: {{memory.available: 1Gi}}\n")
    tune(root, "plan")
    assert "the kubelet evicts below 1Gi" in capsys.readouterr().out
    run_kubelet(root, f"{LENIENT}evictionSoft: {{memory.available: 4Gi}}\n")
    tune(root, "plan")
    assert "memory.available in the kubelet's evictionSoft" in capsys.readouterr().out
