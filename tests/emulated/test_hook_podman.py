import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.agent.limits.allowance_file import PATH, AllowanceFile
from overbook.core.overcommit.writer import HOOK_FILE
from overbook.node.hook import PROGRAM
from overbook.node.hook_folders import hook_folders
from tests.emulated.bundles import (
    CGROUPS,
    LIMIT_BYTES,
    MIB,
    TAKE,
    events,
    is_there,
    put_programs_into_place,
    root_file_system,
    swap_max,
    wait_until_killed,
)

pytestmark = pytest.mark.node(memory="512Mi", swap="512Mi")

UID = "9c858901-8a57-4791-81fe-4c455b099bc9"
LAUNCHER = {
    "io.kubernetes.container.name": "compute",
    "io.kubernetes.pod.uid": UID,
    "kubevirt.io/domain": "vm",
}
FOLDER = "/etc/containers/oci/hooks.d"
CONFIGURATION = pathlib.Path("/etc/containers/containers.conf")
IMAGE = "localhost/box"
ENGINE = f"""
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
infra_image = "{IMAGE}"
runtime = "crun"
"""


class Podman:
    """Podman keeps everything in one folder.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._options = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]

    def __call__(self, *arguments: str) -> str:
        """Run a command and return its output."""
        said, log = self._folder / "said", self._folder / "log"
        with said.open("w") as output, log.open("w") as errors:  # a pipe would stay open in what runs on
            status = subprocess.run(  # noqa: S603 - ours
                ["podman", *self._options, "--storage-driver", "vfs", *arguments],  # noqa: S607 - put into place
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                check=False,
                timeout=240,
            ).returncode
        assert status == 0, log.read_text()
        return said.read_text().strip()

    def play(self, name: str, annotations: dict[str, str]) -> None:
        """Run a pod of one container from a manifest."""
        container = {
            "name": "compute",
            "image": IMAGE,
            "imagePullPolicy": "Never",
            "command": TAKE,
            "resources": {"limits": {"memory": str(LIMIT_BYTES)}},
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"hostNetwork": True, "containers": [container]},
        }
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(pod))
        self("kube", "play", "--start=false", str(path))
        # With cgroupfs this Podman makes the pod's cgroup one that no device may be opened in.
        cgroup = CGROUPS / self("pod", "inspect", "--format", "{{.CgroupPath}}", name).lstrip("/")
        cgroup.rmdir()
        cgroup.mkdir()
        self("pod", "start", name)

    def configuration(self, container: str) -> dict[str, Any]:
        """Return the configuration that the runtime was given."""
        path = self("container", "inspect", "--format", "{{.OCIConfigPath}}", container)
        found: dict[str, Any] = json.loads(pathlib.Path(path).read_text())
        return found

    def cgroup(self, container: str) -> pathlib.Path:
        """Return the cgroup of a running container."""
        process = self("container", "inspect", "--format", "{{.State.Pid}}", container)
        return CGROUPS / pathlib.Path(f"/proc/{process}/cgroup").read_text().strip().rpartition(":")[
            2
        ].lstrip("/")


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    put_programs_into_place("crun", "podman")
    folder = tmp_path_factory.mktemp("podman")
    files = root_file_system(folder / "files")
    subprocess.run(["tar", "-C", str(files), "-cf", str(folder / "box.tar"), "."], check=True)  # noqa: S603, S607 - ours
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.write_text(ENGINE)
    made = Podman(folder)
    made("import", "--change", 'CMD ["/bin/sleep","1000"]', str(folder / "box.tar"), IMAGE)
    yield made
    made("pod", "rm", "--all", "--force", "--time=0")
    made("rm", "--all", "--force", "--time=0")


def hook(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "overbook", "node", "hook", *arguments], check=True)  # noqa: S603 - ours


def test_a_pod_from_a_manifest_is_held_to_its_allowance(podman: Podman) -> None:
    CONFIGURATION.write_text(f'{ENGINE}hooks_dir = ["{FOLDER}"]\n')
    assert hook_folders() == (FOLDER,)
    hook("install")
    AllowanceFile().keep({(UID, "compute"): 8 * MIB})

    podman.play("vm", LAUNCHER)
    cgroup = podman.cgroup("vm-compute")

    assert swap_max(cgroup) == str(8 * MIB)
    wait_until_killed(cgroup)
    assert events(cgroup, "memory.swap.events")["max"] > 0


def test_the_hook_is_not_started_for_other_containers(podman: Podman) -> None:
    podman.play("shop", {name: text for name, text in LAUNCHER.items() if "kubevirt" not in name})

    assert "hooks" in podman.configuration("vm-compute")
    assert "hooks" not in podman.configuration("shop-compute")
    assert swap_max(podman.cgroup("shop-compute")) != str(8 * MIB)


def test_the_default_hook_folder_is_read_unconfigured(podman: Podman) -> None:
    hook("remove")
    CONFIGURATION.write_text(ENGINE)
    annotations = [word for name, text in LAUNCHER.items() for word in ("--annotation", f"{name}={text}")]
    (folder,) = hook_folders()
    hook("install")
    assert is_there(f"{folder}/{HOOK_FILE}")

    podman("create", "--name", "default", "--net=host", *annotations, IMAGE)
    podman("init", "default")

    assert "hooks" in podman.configuration("default")


def test_removal_leaves_nothing_without_any_agent(podman: Podman) -> None:
    left = (
        f"{FOLDER}/{HOOK_FILE}",
        *(f"{folder}/{HOOK_FILE}" for folder in hook_folders()),
        f"/{PROGRAM}",
        f"/{PATH}",
    )
    assert any(map(is_there, left))

    hook("remove")

    assert not any(map(is_there, left))
    podman("start", "default")
