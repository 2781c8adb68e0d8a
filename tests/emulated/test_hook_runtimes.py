import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from overbook.agent.limits.allowance_file import PATH, AllowanceFile
from overbook.core.overcommit.allowance import Eligibility
from overbook.kernel.meminfo import read_meminfo
from overbook.node.files import install, remove
from overbook.node.hook import PROGRAM, configuration, hook_files, hook_paths
from tests.emulated.bundles import (
    LIMIT_BYTES,
    MIB,
    TAKEN_BYTES,
    Bundle,
    hooks_for,
    put_programs_into_place,
    remove_with_parents,
    root_file_system,
    swap_max,
    wait_until_killed,
    wait_until_swapped,
)
from tests.emulated.real_pods import wait_until

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

UID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
OWN = {
    "io.kubernetes.container.name": "compute",
    "io.kubernetes.pod.namespace": "shop",
    "io.kubernetes.pod.uid": UID,
    "kubevirt.io/domain": "vm",
}
FOLDER = "/etc/containers/oci/hooks.d"
ALLOWED = 64 * MIB
POD_SLICE = f"kubepods-burstable-pod{UID.replace('-', '_')}.slice"
NAMED_BY = {
    "cgroupfs": f"/kubepods/burstable/pod{UID}",
    "systemd": f"/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}",
}

MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    put_programs_into_place("crun", "runc")
    return root_file_system(tmp_path_factory.mktemp("files") / "root")


@pytest.fixture
def make(tmp_path: pathlib.Path, files: pathlib.Path) -> Iterator[MakeBundle]:
    """Make containers while the hook is installed; its program is whole again at the end."""
    install(hook_files(FOLDER))
    made: list[Bundle] = []

    def new(
        runtime: str,
        name: str = "c",
        *,
        named_by: str = "cgroupfs",
        eligibility: Eligibility = "BurstableVirtualMachines",
        annotations: Mapping[str, str] = OWN,
    ) -> Bundle:
        folder = tmp_path / name
        folder.mkdir()
        hooks = hooks_for(configuration(eligibility), annotations)
        made.append(Bundle(folder, files, runtime, f"{NAMED_BY[named_by]}/{name}", annotations, hooks))
        return made[-1]

    yield new
    for bundle in made:
        bundle.remove()
    for path in NAMED_BY.values():
        remove_with_parents(path)
    remove((*hook_paths([FOLDER]), PATH))


def allow(bytes_: int) -> None:
    AllowanceFile().keep({(UID, "compute"): bytes_, (UID, "other"): 1})


@pytest.mark.parametrize(("runtime", "named_by"), [("crun", "systemd"), ("runc", "cgroupfs")])
def test_memory_past_the_limit_is_swapped_from_the_start(
    make: MakeBundle, runtime: str, named_by: str
) -> None:
    allow(ALLOWED)
    bundle = make(runtime, named_by=named_by)

    bundle.start()

    assert swap_max(bundle.cgroup) == str(ALLOWED)
    wait_until_swapped(bundle.cgroup, TAKEN_BYTES - LIMIT_BYTES - MIB)


def test_a_container_without_the_hook_is_killed(make: MakeBundle) -> None:
    bundle = make("crun", annotations={"io.kubernetes.pod.uid": UID})

    bundle.start()

    assert swap_max(bundle.cgroup) == "0"
    wait_until_killed(bundle.cgroup)


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_swapped_memory_stays_within_the_allowance(make: MakeBundle, runtime: str) -> None:
    allow(8 * MIB)
    bundle = make(runtime)

    bundle.start()

    wait_until_killed(bundle.cgroup)
    assert swap_max(bundle.cgroup) == str(8 * MIB)
    assert (read_meminfo().swap_free_bytes or 0) > 2 * ALLOWED  # the node had more: its own limit ended it


def half_written() -> None:
    allow(ALLOWED)
    path = pathlib.Path("/", PATH)
    path.write_bytes(path.read_bytes()[:50])


def program_gone() -> None:
    allow(ALLOWED)
    pathlib.Path("/", PROGRAM).unlink()


def program_broken() -> None:
    allow(ALLOWED)
    pathlib.Path("/", PROGRAM).write_text("if\n")


@pytest.mark.parametrize(
    ("runtime", "fault"),
    [
        ("runc", AllowanceFile().remove),
        ("crun", half_written),
        ("runc", program_gone),
        ("crun", program_broken),
    ],
    ids=["no file", "half a file", "no program", "broken program"],
)
def test_a_container_starts_whatever_is_wrong_with_its_hook(
    make: MakeBundle, runtime: str, fault: Callable[[], None]
) -> None:
    bundle = make(runtime)
    fault()

    bundle.start()

    assert swap_max(bundle.cgroup) == "0"


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_a_pods_owner_cannot_take_or_break_anothers_limit(make: MakeBundle, runtime: str) -> None:
    other = "9c858901-8a57-4791-81fe-4c455b099bc9"
    AllowanceFile().keep({(UID, "compute"): ALLOWED, (other, "compute"): 256 * MIB})
    forged = f',"io.kubernetes.pod.uid":"{other}","pid":1,'
    bundle = make(runtime, annotations={**OWN, "a": forged, "b\\": forged * 8000, f'x"{forged}': "\\"})

    bundle.start()

    assert swap_max(bundle.cgroup) == str(ALLOWED)


KEEPER = """
import sys
from overbook.agent.limits.allowance_file import AllowanceFile
file, uid, number = AllowanceFile(), sys.argv[1], 0
while True:
    number += 1
    file.keep({(uid, "compute"): 64 << 20, **{(f"pod-{n}", "compute"): number for n in range(200)}})
"""


def test_the_hook_goes_on_with_the_file_of_a_killed_agent(make: MakeBundle) -> None:
    agent = subprocess.Popen([sys.executable, "-c", KEEPER, UID])  # noqa: S603 - ours
    wait_until(lambda: pathlib.Path("/", PATH).exists())
    time.sleep(0.2)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    bundle = make("crun")

    bundle.start()

    assert swap_max(bundle.cgroup) == str(ALLOWED)
    allow(8 * MIB)  # the next agent's
    assert sorted(path.name for path in pathlib.Path("/", PATH).parent.glob("allowances*")) == ["allowances"]
