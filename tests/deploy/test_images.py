"""The Containerfile is read and its steps are done, since no container engine is there to build an image."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from overbook import __version__
from overbook.deploy.agent_workload import agent_workload
from overbook.deploy.controller_workload import controller_workload
from overbook.deploy.installation import Installation
from overbook.deploy.webhook_workload import webhook_workload
from tests.containerfile import one, steps
from tests.docs.reading import ROOT
from tests.images import copy_python, install_component
from tests.sandbox_parts import made

COMPONENTS: Final = ("agent", "controller", "webhook")
APPLICATIONS: Final = {"agent": "agent", "controller": "controller", "webhook": "webhook"}
ALWAYS: Final = {"cli", "core", "explain", "kernel", "kube", "probes", "status"}
BESIDE: Final = {"agent": {"node", "nri"}, "webhook": {"certificates"}}
TOO_MUCH: Final = {"rich", "pygments", "pytest", "hypothesis", "pip", "setuptools", "mypy"}
UNCHECKED_HASH: Final = 0b01


def test_every_copied_file_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines()
    for step in steps():
        if step.word == "COPY" and not step.rest.startswith("--from="):
            for source in step.rest.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source
    assert (ROOT / "scripts" / "install-component").exists()


def test_base_images_are_named_by_digest() -> None:
    defaults = dict(step.rest.split("=", 1) for step in steps() if step.word == "ARG" and not step.stage)
    assert defaults.keys() == {"BUILD_IMAGE", "RUNTIME_IMAGE"}
    for name in defaults.values():
        assert re.fullmatch(r"[a-z0-9./-]+:[\w.-]+@sha256:[0-9a-f]{64}", name)


def test_stages_are_made_of_stages_that_come_before() -> None:
    known = {"${BUILD_IMAGE}", "${RUNTIME_IMAGE}"}
    for step in steps():
        if step.word == "FROM":
            assert step.rest.partition(" ")[0] in known
            known.add(step.stage)
        if copied := re.match(r"--from=(\S+)", step.rest):
            assert copied[1] in known
    assert set(COMPONENTS) <= known


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_image_starts_what_the_workload_expects(component: str) -> None:
    assert json.loads(one(component, "ENTRYPOINT")) == ["python3", "-m", "overbook"]
    assert json.loads(one(component, "CMD")) == [component]
    assert f"COPY --from={component}-files /opt/overbook /opt/overbook" in [
        f"{step.word} {step.rest}" for step in steps() if step.stage == component
    ]
    assert "PYTHONPATH=/opt/overbook" in one(component, "ENV").split()
    where = Installation()
    made = {"agent": agent_workload, "controller": controller_workload, "webhook": webhook_workload}
    workload = next(each for each in made[component](where) if "template" in each.get("spec", {}))
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    contexts = (container["securityContext"], spec.get("securityContext", {}))
    users = [each["runAsUser"] for each in contexts if "runAsUser" in each]
    if component == "agent":
        assert (users, one(component, "USER")) == ([0], "0:0")
    else:  # the image's, by its number, which the kubelet needs for `runAsNonRoot`; or one of OpenShift's
        assert (users, one(component, "USER")) == ([], "65532:65532")
        assert [each["runAsNonRoot"] for each in contexts if "runAsNonRoot" in each] == [True]
    assert container["args"][0] == component


class Installed(NamedTuple):
    """A component is installed as in its image."""

    name: str
    folder: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Python with this folder and the standard library alone, as the image does."""
        command: Sequence[str] = (getattr(sys, "_base_executable", sys.executable), "-S", *arguments)
        environment = {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.defpath}
        return subprocess.run(  # noqa: S603 - our own argv
            command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module", params=COMPONENTS)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the files of a component by the step that its stage runs."""
    name = request.param
    folder = tmp_path_factory.mktemp(name) / "overbook"
    install_component(name, str(folder))
    return Installed(name, folder)


def test_an_installed_image_starts(installed: Installed) -> None:
    assert installed.run("-m", "overbook", "--version").stdout == f"overbook {__version__}\n"
    done = installed.run("-m", "overbook", installed.name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: overbook {installed.name}")


def test_an_image_holds_its_own_application_and_no_other(installed: Installed) -> None:
    folders = {each.name for each in (installed.folder / "overbook").iterdir() if each.is_dir()}
    assert folders - {"__pycache__"} == ALWAYS | {APPLICATIONS[installed.name]} | BESIDE.get(
        installed.name, set()
    )
    assert not (installed.folder / "overbook_sandbox").exists()
    there = {each.name.lower() for each in installed.folder.iterdir()}
    assert there.isdisjoint(TOO_MUCH)
    assert not (installed.folder / "bin").exists()


def tree(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Return mode, time and content of everything in a folder: what a layer of an image is made of."""
    return {
        str(each.relative_to(folder)): (
            each.stat().st_mode,
            each.stat().st_mtime_ns,
            hashlib.sha256(each.read_bytes()).hexdigest() if each.is_file() else "",
        )
        for each in (folder, *folder.rglob("*"))
    }


def test_an_image_comes_out_the_same_twice(
    installed: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "1")  # otherwise a random one
    again = tmp_path / "elsewhere"
    install_component(installed.name, str(again))
    assert tree(again) == tree(installed.folder)


def test_a_wheel_comes_out_the_same_twice(tmp_path: Path) -> None:
    wheels = []
    for name in ("first", "second"):
        made_in = tmp_path / name
        shutil.copytree(ROOT / "src", made_in / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for file in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / file, made_in)
        build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(made_in))
        subprocess.run((sys.executable, *build, str(made_in)), check=True, capture_output=True)  # noqa: S603 - our own argv
        (wheel,) = made_in.glob("*.whl")
        wheels.append(wheel.read_bytes())
    assert wheels[0] == wheels[1]


def test_the_bill_of_materials_lists_what_is_installed(installed: Installed) -> None:
    bill = json.loads((installed.folder / "sbom.cdx.json").read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    own = bill["metadata"]["component"]
    assert (own["name"], own["version"]) == (f"overbook-{installed.name}", __version__)
    there = {
        tuple(each.name.lower().replace("_", "-").removesuffix(".dist-info").rsplit("-", 1))
        for each in installed.folder.glob("*.dist-info")
    }
    assert there - {("overbook", __version__)} == {
        (each["name"], each["version"]) for each in bill["components"]
    }
    lock = (ROOT / "requirements" / f"{installed.name}.txt").read_text(encoding="utf-8")
    for each in bill["components"]:
        assert each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}"
        (digest,) = each["hashes"]
        assert f"--hash=sha256:{digest['content']}" in lock
    assert bill["dependencies"][0]["dependsOn"] == [each["bom-ref"] for each in bill["components"]]


def test_every_user_may_read_an_images_files(installed: Installed) -> None:
    """On OpenShift the user is any of a namespace's range, without the image's groups."""
    for each in (installed.folder, *installed.folder.rglob("*")):
        needed = 0o005 if each.is_dir() else 0o004
        assert each.stat().st_mode & needed == needed, each


def test_all_modules_of_an_image_can_be_imported(installed: Installed) -> None:
    package = f"overbook.{APPLICATIONS[installed.name]}"
    program = (
        "import importlib, pkgutil, sys\n"
        f"package = importlib.import_module({package!r})\n"
        "for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
    )
    done = installed.run("-c", program)
    assert done.returncode == 0, done.stderr


def test_every_module_is_compiled_and_its_source_never_looked_at(installed: Installed) -> None:
    for source in installed.folder.rglob("*.py"):
        flags = int.from_bytes(compiled(source).read_bytes()[4:8], "little")
        assert flags == UNCHECKED_HASH, source


def test_the_standard_library_is_compiled_as_well(tmp_path: Path) -> None:
    made(lambda: copy_python(one("agent", "RUN"), str(tmp_path / "python")))
    (library,) = (tmp_path / "python/usr/lib").glob("python3.*")
    sources = [each for each in library.rglob("*.py") if "lib2to3" not in each.parts]  # its tests cannot be
    assert sources
    assert not [source for source in sources if not compiled(source).exists()]


def compiled(source: Path) -> Path:
    """Return the path of a module's bytecode."""
    return source.parent / "__pycache__" / f"{source.stem}.{sys.implementation.cache_tag}.pyc"


def test_a_command_of_another_image_is_refused(installed: Installed) -> None:
    done = installed.run("-m", "overbook", "demo")
    assert done.returncode == 2
    assert done.stderr == "overbook: overbook_sandbox is not part of this installation\n"
