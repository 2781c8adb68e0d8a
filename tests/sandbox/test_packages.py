import pathlib
from collections.abc import Sequence

import pytest

from overbook_sandbox.machine.errors import SandboxUnavailableError
from tests.sandbox.fake_host import FakeHost, static_program

APT = {"apt-get": "/usr/bin/apt-get", "sudo": "/usr/bin/sudo"}


@pytest.fixture
def tools(tmp_path: pathlib.Path) -> dict[str, str]:
    return {"qemu-system-x86_64": "/usr/bin/qemu", "busybox": static_program(tmp_path / "busybox")}


def test_existing_tools_are_used_silently(tools: dict[str, str]) -> None:
    fake = FakeHost(tools)
    assert fake.host().tools() == (tools["qemu-system-x86_64"], tools["busybox"])
    assert (fake.ran, fake.said) == ([], [])


def test_the_command_is_printed_without_permission_to_install() -> None:
    fake = FakeHost(APT)
    with pytest.raises(SandboxUnavailableError) as error:
        fake.host().tools()
    assert "qemu-system-x86_64 and busybox" in str(error.value)
    assert "overbook sandbox prepare --install-packages" in str(error.value)
    assert "apt-get install --no-install-recommends qemu-system-x86 busybox-static" in str(error.value)
    assert fake.ran == []


def test_only_missing_tools_are_installed_and_announced(tools: dict[str, str]) -> None:
    qemu = tools.pop("qemu-system-x86_64")

    def answer(argv: Sequence[str], _folder: str | None) -> None:
        assert "qemu-system-x86" in argv
        assert "busybox-static" not in argv
        fake.programs["qemu-system-x86_64"] = qemu

    fake = FakeHost(tools | APT, answer)
    assert fake.host(install=True).tools() == (qemu, tools["busybox"])
    assert fake.said == ["installing with apt-get: qemu-system-x86 (emulates the node)"]
    assert fake.ran[0][0] != "sudo"


def test_a_user_installs_with_sudo() -> None:
    fake = FakeHost(APT, lambda _argv, _folder: (100, "E: no"))
    with pytest.raises(SandboxUnavailableError, match="E: no"):
        fake.host(install=True, user_id=1000).tools()
    assert all(argv[0] == "sudo" for argv in fake.ran)


def test_a_busybox_that_needs_a_loader_does_not_count(tools: dict[str, str], tmp_path: pathlib.Path) -> None:
    dynamic = tmp_path / "dynamic"
    dynamic.write_bytes(b"\x7fELF" + bytes(600) + b"/lib64/ld-linux-x86-64.so.2\0")
    with pytest.raises(SandboxUnavailableError, match=r"needs busybox \(statically linked\)"):
        FakeHost(tools | APT | {"busybox": str(dynamic)}).host().tools()


def test_the_error_without_apt_names_what_to_install() -> None:
    with pytest.raises(SandboxUnavailableError, match=r"no apt-get.*install QEMU"):
        FakeHost({}).host(install=True).tools()


@pytest.mark.parametrize("platform", [("darwin", "arm64"), ("linux", "aarch64")])
def test_another_platform_is_refused_by_name(platform: tuple[str, str], tools: dict[str, str]) -> None:
    with pytest.raises(SandboxUnavailableError, match=" ".join(platform)):
        FakeHost(tools).host(platform=platform).tools()
