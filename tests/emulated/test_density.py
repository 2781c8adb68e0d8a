"""A short cell of the density benchmark on a real kernel: the agent evicts the pod that grows."""

import pathlib

from overbook_sandbox.density.loads import Grow, Load
from overbook_sandbox.density.result import Setup
from overbook_sandbox.density.run import Runner
from overbook_sandbox.density.shapes import vm, vms
from overbook_sandbox.machine.image import prepare
from tests.sandbox_parts import made

LOAD = Load(
    name="short",
    title="a short load",
    about="one of two VMs takes more and more",
    pods=(
        *vms(1, 60, 20, overhead_mib=60),
        vm("vm-x", 60, 20, Grow(mib_per_second=15, hot=True), overhead_mib=60),
    ),
    guilty=("vm-x",),
    must_go=1,
    event_seconds=40,
    memory_mib=384,
    swap_mib=192,
    steady_seconds=1,
)


def test_a_cell_says_who_left_how_and_that_the_other_pod_worked(tmp_path: pathlib.Path) -> None:
    runner = Runner(made(prepare), str(tmp_path), str(tmp_path / "traces"))
    setup = Setup(load="short", guard="overbook", cpus=1, seed=1, run=0)
    found = runner.play(setup, LOAD, None)
    assert [one.pod for one in found.left] == ["vm-x"]
    assert (found.innocents_lost, found.guilty_left) == (0, 1)
    assert found.left[0].seconds > 0
    assert found.left[0].how == "guard"
    assert "has to leave the node" in found.left[0].reason
    assert found.work_units > 5 * found.seconds
    assert found.seconds < LOAD.event_seconds
    assert found.guard_cpu_seconds
    assert found.guard_figures["ticks"] > 5
    assert (tmp_path / "traces" / "short-overbook-1-1-0.jsonl").stat().st_size > 1000
