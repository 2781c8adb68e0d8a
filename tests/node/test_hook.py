import json
import pathlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from overbook.agent.limits.allowance_file import AllowanceFile
from overbook.core.kubernetes.pod import Pod, convert
from overbook.core.kubernetes.resolved import resolve
from overbook.core.overcommit.allowance import SwapPolicy, allowances, pod_facts
from overbook.node.hook import configuration, hook_files, hook_paths
from tests.agent.fake_node import manifest
from tests.node.hook_runner import (
    ALLOWANCES,
    CGROUPFS,
    LIMIT,
    OTHER,
    PROCESS,
    SHELLS,
    SYSTEMD,
    UID,
    HookWorld,
    encoded,
    state,
)

GIVEN = {SYSTEMD: str(LIMIT)}


@pytest.fixture(params=sorted(SHELLS))
def world(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> HookWorld:
    return HookWorld(tmp_path, SHELLS[request.param])


def test_the_container_gets_its_limit(world: HookWorld) -> None:
    world.run(encoded(state()))
    assert world.limits() == GIVEN


def test_cgroups_named_by_cgroupfs_are_limited_too(world: HookWorld) -> None:
    world.place(PROCESS, CGROUPFS)
    world.run(encoded(state()))
    assert world.limits() == {CGROUPFS: str(LIMIT)}


def test_cruns_inner_cgroup_is_limited_with_the_outer_one(world: HookWorld) -> None:
    world.cgroup(SYSTEMD)
    world.place(PROCESS, f"{SYSTEMD}/container")
    world.run(encoded(state()))
    assert world.limits() == {SYSTEMD: str(LIMIT), f"{SYSTEMD}/container": str(LIMIT)}


def test_no_allowance_is_written_as_a_limit_of_0(world: HookWorld) -> None:
    world.run(
        encoded(
            {**state(), "annotations": {**state()["annotations"], "io.kubernetes.container.name": "volume"}}
        )
    )
    assert world.limits() == {SYSTEMD: "0"}


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_state_is_read_in_any_layout(world: HookWorld, indent: int | None, end: str) -> None:
    world.run((json.dumps(state({"a": "b"}), indent=indent) + end).encode())
    assert world.limits() == GIVEN


def test_the_written_limit_is_as_core_computes(world: HookWorld, tmp_path: pathlib.Path) -> None:
    pod: Pod = convert(manifest("vm", uid=UID, request="300Mi", limit="700Mi"), Pod, "vm")
    facts = pod_facts(resolve(pod), 1 << 30, SwapPolicy(eligibility="Burstable"))
    (decision,) = allowances(facts.containers, 1 << 30, 1 << 29, SwapPolicy(eligibility="Burstable"))
    assert decision.swap_max_bytes > 0
    file = AllowanceFile(str(tmp_path))
    file.keep({(facts.uid, facts.containers[0].name): decision.swap_max_bytes})
    named = state()
    named["annotations"]["io.kubernetes.container.name"] = facts.containers[0].name

    world.run(encoded(named), (tmp_path / "run/overbook/allowances").read_bytes())

    assert world.limits() == {SYSTEMD: str(decision.swap_max_bytes)}


FORGED = [
    {"note": f'"io.kubernetes.pod.uid":"{OTHER}"'},
    {"note": f',"io.kubernetes.pod.uid":"{OTHER}",'},
    {"note": f'\\","io.kubernetes.pod.uid":"{OTHER}'},
    {"aaa\\": f'{{"io.kubernetes.pod.uid":"{OTHER}"}}'},
    {"note": f'\n"io.kubernetes.pod.uid": "{OTHER}"\n"pid": 1,'},
    {"pid": "1", "aaa": '"pid":1'},
    {'x"io.kubernetes.pod.uid': OTHER},
    {'x","io.kubernetes.pod.uid': OTHER},
    {"io.kubernetes.pod.uid.x": OTHER, "x.io.kubernetes.pod.uid": OTHER, "ioXkubernetesXpodXuid": OTHER},
    {"a": "{", "b": ",", "c": "\\", "d": '"', "e": "\x00\x1f\u2028 'ü$(reboot)`reboot`*?[a-z]"},
]


@pytest.mark.parametrize("annotations", FORGED)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_pods_owner_can_change_nothing_by_annotations(
    world: HookWorld, annotations: dict[str, str], *, escaped: bool
) -> None:
    world.run(json.dumps(state(annotations), ensure_ascii=escaped, separators=(",", ":")).encode())
    assert world.limits() == GIVEN


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.text(max_size=20), st.text(alphabet='\\":,{} \nio.kubernetes.pod.uid', max_size=80))
)
@example({"": ""})
def test_any_annotations_leave_the_containers_own_in_force(
    tmp_path: pathlib.Path, annotations: dict[str, str]
) -> None:
    world = HookWorld(tmp_path, SHELLS["dash"])
    world.run(encoded(state(annotations)))
    assert world.limits() == GIVEN


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.binary(max_size=200))
def test_arbitrary_bytes_change_no_limit(tmp_path: pathlib.Path, given_state: bytes, known: bytes) -> None:
    world = HookWorld(tmp_path, SHELLS["dash"])
    world.run(given_state, known)
    assert world.limits() == {}


def test_a_pod_that_claims_to_be_another_gets_no_limit_of_it(world: HookWorld) -> None:
    claimed = state()
    claimed["annotations"]["io.kubernetes.pod.uid"] = OTHER
    world.run(encoded(claimed))
    assert world.limits() == {}


def test_the_largest_annotations_of_kubernetes_are_read(world: HookWorld) -> None:
    world.run(encoded(state({"note": ',"pid":1"' * 28_000})))
    assert world.limits() == GIVEN


@pytest.mark.parametrize(
    "allowances",
    [
        None,
        "",
        "end\n",
        ALLOWANCES.removesuffix("end\n"),
        ALLOWANCES[:70],
        f"{UID}/compute 1205\n",
        f"{UID}/compute 12x\nend\n",
        f"{UID}/compute -1\nend\n",
        f"{UID}/compute max\nend\n",
        f"{UID}/compute 1{'0' * 30}\nend\n",
        f"{UID}/compute\nend\n",
        f" {UID}/compute 7\nend\n",
        f"{UID}/computer 7\n{UID}/comput 7\n.*/compute 7\nend\n",
        "{}\n" + "x" * 3_000_000,
    ],
)
def test_a_missing_or_malformed_file_gives_no_limit(world: HookWorld, allowances: str | None) -> None:
    world.run(encoded(state()), allowances)
    assert world.limits() == {}


@pytest.mark.parametrize(
    "given_state",
    [
        b"",
        b"{",
        b"[]",
        encoded({**state(), "annotations": {}}),
        encoded({**state(), "pid": 0}),
        encoded({**state(), "pid": -1}),
        encoded({**state(), "pid": 99999}),
        encoded({**state(), "pid": "4711"}),
        encoded({**state(), "annotations": {**state()["annotations"], "io.kubernetes.pod.uid": ""}}),
        encoded({**state(), "annotations": {**state()["annotations"], "io.kubernetes.container.name": ".*"}}),
    ],
)
def test_an_incomplete_state_gives_no_limit(world: HookWorld, given_state: bytes) -> None:
    world.run(given_state)
    assert world.limits() == {}


@pytest.mark.parametrize("cgroup", ["/system.slice/crio.service", "/../../elsewhere", "/"])
def test_a_process_outside_a_containers_cgroup_is_left_alone(world: HookWorld, cgroup: str) -> None:
    world.place(PROCESS, cgroup)
    world.run(encoded(state()))
    assert world.limits() == {}


def test_cgroup_v1_is_left_alone(world: HookWorld, tmp_path: pathlib.Path) -> None:
    (tmp_path / "proc" / str(PROCESS) / "cgroup").write_text(
        f"4:memory:{SYSTEMD}\n1:name=systemd:{SYSTEMD}\n"
    )
    world.run(encoded(state()))
    assert world.limits() == {}


@pytest.mark.parametrize("content", [None, b"if\n", b"set -u\necho $nowhere\n", b"exit 3\n", b"\x00\xff"])
def test_a_missing_or_broken_program_lets_the_container_start(
    world: HookWorld, content: bytes | None
) -> None:
    if content is None:
        world.program.unlink()
    else:
        world.program.write_bytes(content)
    assert world.start(b"{}").returncode == 0


def test_the_engine_starts_the_hook_only_where_it_matters() -> None:
    launchers = json.loads(configuration("BurstableVirtualMachines"))
    everyone = json.loads(configuration("Burstable"))

    assert set(launchers["when"]) == set(everyone["when"]) == {"annotations"}
    assert set(launchers["when"]["annotations"]) - set(everyone["when"]["annotations"]) == {
        r"^kubevirt\.io/domain$"
    }
    assert launchers["stages"] == ["createRuntime"]
    assert "timeout" not in launchers["hook"]


def test_the_program_is_installed_first_and_removed_last() -> None:
    folder = "/etc/containers/oci/hooks.d"
    assert [*hook_files(folder)] == [*reversed(hook_paths([folder]))]
