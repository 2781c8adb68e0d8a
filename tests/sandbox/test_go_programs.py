import pathlib

import pytest

from overbook_sandbox.cluster.go_programs import find, kubernetes_version, prepare
from overbook_sandbox.cluster.go_toolchain import go_command, release
from overbook_sandbox.machine.errors import SandboxUnavailableError
from tests.sandbox.fake_host import FakeHost


def program(path: pathlib.Path, text: str = "#!/bin/sh\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_named_ready_programs_are_used_and_none_is_built(tmp_path: pathlib.Path) -> None:
    for name in ("etcd", "kube-apiserver", "kubectl"):
        program(tmp_path / "assets" / name)
    environment = {"KUBEBUILDER_ASSETS": str(tmp_path / "assets"), "OVERBOOK_CACHE": str(tmp_path / "cache")}
    said: list[str] = []
    programs = prepare(say=said.append, environment=environment)
    assert programs == find(environment)
    assert programs.path("kubectl") == str(tmp_path / "assets" / "kubectl")
    assert not (tmp_path / "cache").exists()
    assert said == []
    with pytest.raises(SandboxUnavailableError, match="kube-scheduler: no such program"):
        programs.path("kube-scheduler")


def test_a_folder_without_an_api_server_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    program(tmp_path / "kubectl")
    with pytest.raises(
        SandboxUnavailableError, match=r"KUBEBUILDER_ASSETS=.*: no etcd, kube-apiserver there"
    ):
        find({"KUBEBUILDER_ASSETS": str(tmp_path)})


def test_missing_programs_are_not_built_unasked(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="overbook sandbox prepare --kubernetes"):
        find({"OVERBOOK_CACHE": str(tmp_path)})


def test_a_failed_build_shows_its_last_lines_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    compiler = program(
        tmp_path / "bin" / "go",
        '#!/bin/sh\n[ "$1" = env ] && { echo go1.99.0; exit; }\necho "main.go:7: no such" >&2\nexit 3\n',
    )
    environment = {"OVERBOOK_CACHE": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin")}
    said: list[str] = []
    with pytest.raises(SandboxUnavailableError) as error:
        prepare(say=said.append, environment=environment)
    assert "status 3" in str(error.value)
    assert "main.go:7: no such" in str(error.value)
    assert "overbook sandbox prepare --kubernetes" in str(error.value)
    assert f"with {compiler}" in said[0]
    assert sorted(each.name for each in (tmp_path / "cache").iterdir()) == [
        ".kubernetes.lock",
        "kubernetes.log",
    ]


@pytest.mark.parametrize(
    ("printed", "numbers"),
    [
        ("go1.26.8\n", (1, 26)),
        ("go1.9\n", (1, 9)),
        ("devel go1.30-abc\n", (0, 0)),
        ("sh: go: not found", (0, 0)),
    ],
)
def test_releases_are_told_apart_by_number(printed: str, numbers: tuple[int, int]) -> None:
    assert release(printed) == numbers


def test_a_compiler_that_is_new_enough_is_used(tmp_path: pathlib.Path) -> None:
    fake = FakeHost({"go": "/opt/go/bin/go"}, lambda _argv, _folder: (0, "go1.26.0\n"))
    assert go_command(fake.host(), str(tmp_path)) == "/opt/go/bin/go"


def test_an_old_compiler_is_replaced_by_a_download(
    tmp_path: pathlib.Path,
) -> None:
    fake = FakeHost(
        {"go": "/usr/bin/go"},
        lambda argv, _folder: (0, "go1.19.8\n") if "env" in argv else (1, "no matching distribution"),
    )
    with pytest.raises(SandboxUnavailableError) as error:
        go_command(fake.host(), str(tmp_path))
    assert "no matching distribution" in str(error.value)
    assert "Go 1.26 or newer" in str(error.value)
    assert fake.said[0].startswith("downloading Go 1.26")


def test_the_version_is_that_of_the_module_file() -> None:
    assert kubernetes_version().startswith("1.")
