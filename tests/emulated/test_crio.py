"""A real CRI-O runs a virtual machine's pod: its NRI, hooks and cgroups are what Overbook takes them for."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.agent.limits.allowance_file import PATH, AllowanceFile
from overbook_sandbox.node.crio import Crio, find
from tests.emulated.bundles import (
    CGROUPS,
    LIMIT_BYTES,
    MIB,
    TAKE,
    put_programs_into_place,
    root_file_system,
    swap_max,
    wait_until_killed,
)
from tests.emulated.programs import doctor
from tests.emulated.real_pods import wait_until
from tests.sandbox_parts import made

pytestmark = pytest.mark.node(memory="768Mi", swap="512Mi")

UID = "9c858901-8a57-4791-81fe-4c455b099bc9"
IMAGE = "localhost/box:latest"
HOOKS = "/etc/containers/oci/hooks.d"
SOCKET = "unix:///run/crio/crio.sock"
NODE, OWN, CONTAINERS = 2, 0, 1
"""Whose namespace a container has, in the runtime interface's numbers."""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
STORAGE = """[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
"""
CONFIGURATION = f"""[crio.runtime]
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
default_runtime = "runc"
hooks_dir = ["{HOOKS}"]
pinns_path = "%(pinns)s"
[crio.runtime.runtimes.runc]
runtime_path = "/usr/sbin/runc"
runtime_type = "oci"
monitor_path = "/usr/bin/conmon"
[crio.image]
pause_image = "{IMAGE}"
pause_command = "/bin/sleep 1000"
[crio.nri]
enable_nri = true
"""


class Engine:
    """CRI-O runs pods as a kubelet asks it to.

    Args:
        programs: CRI-O's programs.
        folder: an empty folder.
    """

    def __init__(self, programs: Crio, folder: pathlib.Path) -> None:
        self._programs, self._folder = programs, folder
        self._log = (folder / "crio.log").open("w")
        argv = [programs.path("crio"), "--disable-hostport-mapping"]
        self._process = subprocess.Popen(argv, stdout=self._log, stderr=self._log)  # noqa: S603 - ours
        self._options = folder / "crictl.yaml"
        self._options.write_text(f"runtime-endpoint: {SOCKET}\nimage-endpoint: {SOCKET}\ntimeout: 60\n")
        wait_until(lambda: self._ask("version")[0] == 0, 60)

    def __call__(self, *words: str) -> str:
        """Run crictl and return its output."""
        status, said = self._ask(*words)
        assert status == 0, said + (self._folder / "crio.log").read_text()[-4000:]
        return said.strip()

    def _ask(self, *words: str) -> tuple[int, str]:
        argv = [self._programs.path("crictl"), "--config", str(self._options), *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=90)  # noqa: S603 - ours
        return done.returncode, done.stdout if done.returncode == 0 else done.stderr

    def run(self, name: str, annotations: dict[str, str]) -> pathlib.Path:
        """Run a pod of one container `compute`, and return the container's cgroup."""
        parent = f"/kubepods/burstable/pod{UID}"
        namespaces = {"network": NODE, "pid": CONTAINERS, "ipc": OWN}
        labels = {"io.kubernetes.pod.uid": UID, "io.kubernetes.pod.name": name}
        pod = {
            "metadata": {"name": name, "namespace": "demo", "uid": UID, "attempt": 0},
            "labels": {**labels, "io.kubernetes.pod.namespace": "demo"},
            "annotations": annotations,
            "linux": {
                "cgroup_parent": parent,
                "security_context": {"namespace_options": namespaces},
            },
        }
        container = {
            "metadata": {"name": "compute"},
            "image": {"image": IMAGE},
            "command": TAKE,
            "labels": {**labels, "io.kubernetes.container.name": "compute"},
            "annotations": {},
            "linux": {
                "resources": {
                    "memory_limit_in_bytes": LIMIT_BYTES,
                    "memory_swap_limit_in_bytes": LIMIT_BYTES,
                },
                "security_context": {"namespace_options": namespaces},
            },
        }
        (CGROUPS / parent.lstrip("/")).mkdir(parents=True, exist_ok=True)
        sandbox = self("runp", self._written("pod", pod))
        paths = (self._written("container", container), self._written("pod", pod))
        made = self("create", sandbox, *paths)
        self("start", made)
        return CGROUPS / parent.lstrip("/") / f"crio-{made}"

    def stop(self) -> None:
        """Kill all pods and end CRI-O."""
        (CGROUPS / "kubepods/cgroup.kill").write_text("1")
        self._process.terminate()
        self._process.wait(30)
        self._log.close()

    def _written(self, name: str, content: Any) -> str:
        path = self._folder / f"{name}.json"
        path.write_text(json.dumps(content))
        return str(path)


def enable(*parts: str) -> None:
    """Enable the controllers for the cgroups below, as the kubelet does."""
    path = CGROUPS
    for part in ("", *parts):
        path /= part
        path.mkdir(exist_ok=True)
        (path / "cgroup.subtree_control").write_text("+memory +cpu +io +pids")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    programs = made(find)
    put_programs_into_place("crun", "podman", "runc")
    folder = tmp_path_factory.mktemp("crio")
    written = {
        "/etc/containers/policy.json": POLICY,
        "/etc/containers/storage.conf": STORAGE,
        "/etc/crio/crio.conf": CONFIGURATION % {"pinns": programs.path("pinns")},
    }
    for path, text in written.items():
        pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(path).write_text(text)
    storage = pathlib.Path("/var/lib/containers")
    storage.mkdir(parents=True, exist_ok=True)
    for words in (["-t", "tmpfs", "tmpfs", str(storage)], ["--make-rshared", "/"]):
        subprocess.run(["/bin/mount", *words], check=True)  # noqa: S603 - fixed words
    files = root_file_system(folder / "files")
    subprocess.run(["/bin/tar", "-C", str(files), "-cf", str(folder / "box.tar"), "."], check=True)  # noqa: S603 - ours
    (pathlib.Path(HOOKS)).mkdir(parents=True, exist_ok=True)
    podman = ["/usr/bin/podman", "import", str(folder / "box.tar"), IMAGE]
    subprocess.run(podman, check=True, capture_output=True)  # noqa: S603 - ours
    enable("kubepods", "burstable", f"pod{UID}")
    started = Engine(programs, folder)
    yield started
    started.stop()


def hook(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "overbook", "node", "hook", *arguments], check=True)  # noqa: S603 - ours


def test_crio_is_found_with_nri_and_its_hook_folder(engine: Engine) -> None:
    assert engine("info")
    report = doctor()
    assert "nri" in report.fine["writer"]
    assert "HookNotRead" not in report.findings


def test_crio_runs_the_hook_before_the_first_instruction(engine: Engine) -> None:
    hook("install")
    AllowanceFile().keep({(UID, "compute"): 8 * MIB})
    try:
        cgroup = engine.run("vm", {"kubevirt.io/domain": "vm"})

        assert swap_max(cgroup) == str(8 * MIB)
        wait_until_killed(cgroup)  # without the limit, what it takes would fit into swap
    finally:
        hook("remove")
    assert not pathlib.Path(f"/{PATH}").exists()
