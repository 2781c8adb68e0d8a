import functools
import lzma
import os
import pathlib
import struct
from collections.abc import Sequence

import pytest

from overbook_sandbox.machine.debian import Suite
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.kernel_image import (
    kernel_image,
    later_modules,
    part_packages,
    uncompressed_kernel,
    versioned_package,
)
from overbook_sandbox.machine.kernel_modules import LATER, WANTED
from tests.sandbox.fake_host import FakeHost

APT = {"apt-get": "apt-get", "apt-cache": "apt-cache", "dpkg-deb": "dpkg-deb"}
PACKAGE = "linux-image-6.1.0-56-amd64"
DEPENDS = f"linux-image-amd64\n  Depends: {PACKAGE}\n  Suggests: linux-doc\n"


def bz_image(payload: bytes) -> bytes:
    image = bytearray(0x400 + 512 * 4)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 512, len(payload))
    return bytes(image[: 4 * 512 + 512]) + payload + b"trailing"


class Debian(FakeHost):
    """On this host apt gives a small kernel package."""

    def __init__(self, listings: Sequence[str] = (DEPENDS,)) -> None:
        super().__init__(dict(APT), self.reply)
        self.downloads = 0
        self._listings = list(listings)

    def reply(self, argv: Sequence[str], folder: str | None) -> tuple[int, str] | None:
        if argv[0] == "apt-cache":
            return 0, self._listings.pop(0) if len(self._listings) > 1 else self._listings[0]
        if argv[:2] == ("apt-get", "download"):
            assert folder is not None
            self.downloads += 1
            pathlib.Path(folder, f"{PACKAGE}_1_amd64.deb").write_bytes(b"deb")
        if argv[0] == "dpkg-deb":
            unpack(pathlib.Path(argv[3]))
        return None


NEWER = "linux-image-7.2.12+deb14-amd64"
NEWER_PARTS = tuple(NEWER.replace("image", part) for part in ("base", "binary", "modules"))
NEWER_DEPENDS = {
    "linux-image-amd64": f"linux-image-amd64\n  Depends: linux-base-amd64\n  Depends: {NEWER}\n",
    NEWER: f"{NEWER}\n |Depends: dracut\n" + "".join(f"  Depends: {part}\n" for part in NEWER_PARTS),
}


class NewerDebian(FakeHost):
    """On this host a newer suite's kernel comes in three packages, and has no module for crc32c."""

    def __init__(self) -> None:
        super().__init__(dict(APT), self.reply)
        self.downloaded: list[str] = []

    def reply(self, argv: Sequence[str], folder: str | None) -> tuple[int, str] | None:
        if argv[0] == "apt-cache":
            assert argv[1] == "-c"
            return 0, NEWER_DEPENDS[argv[-1]]
        if argv[:2] == ("apt-get", "download"):
            assert folder is not None
            self.downloaded.append(argv[-1])
            pathlib.Path(folder, f"{argv[-1]}_1_amd64.deb").write_bytes(b"deb")
        if argv[0] == "dpkg-deb":
            self._unpack(pathlib.Path(argv[3]), self.downloaded[-1])
        return None

    def _unpack(self, root: pathlib.Path, package: str) -> None:
        tree = root / "usr/lib/modules/7.2"
        tree.mkdir(parents=True, exist_ok=True)
        match package.split("-")[1]:
            case "base":
                (tree / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")
            case "binary":
                (tree / "vmlinuz").write_bytes(b"kernel")
            case "modules":
                for name in {*WANTED, *LATER} - {"virtio_pci", "crc32c_generic"}:
                    (tree / f"{name}.ko").write_bytes(b"\0depends=\0")


def unpack(root: pathlib.Path) -> None:
    tree = root / "lib" / "modules" / "6.1" / "kernel"
    tree.mkdir(parents=True)
    for name in WANTED + LATER:
        (tree / f"{name}.ko").write_bytes(b"\0depends=\0" + name.encode())
    (root / "boot").mkdir()
    (root / "boot" / "vmlinuz-6.1").write_bytes(bz_image(lzma.compress(b"\x7fELF kernel")))


def test_the_meta_package_leads_to_the_versioned_one() -> None:
    assert versioned_package(DEPENDS) == PACKAGE
    assert versioned_package("linux-image-amd64\n  Depends: <linux-image-5-none>\n") is None
    assert versioned_package("") is None


def test_the_kernel_is_taken_out_of_its_wrapping() -> None:
    assert uncompressed_kernel(bz_image(lzma.compress(b"kernel"))) == b"kernel"
    assert uncompressed_kernel(bz_image(b"\x1f\x8bgzip")) is None
    assert uncompressed_kernel(bytes(0x400)) is None


def test_the_kernel_is_downloaded_once_and_only_its_files_kept(tmp_path: pathlib.Path) -> None:
    debian = Debian()
    first = kernel_image(debian.host(), str(tmp_path), {})
    second = kernel_image(debian.host(), str(tmp_path), {})
    assert first == second
    assert debian.downloads == 1
    assert first.name == PACKAGE
    assert pathlib.Path(first.path).read_bytes() == b"\x7fELF kernel"
    assert list(first.modules) == [name.replace("-", "_") for name in WANTED]
    assert {name for name in os.listdir(os.path.dirname(first.path)) if not name.endswith(".ko")} == {
        "kernel",
        "manifest.json",
    }


def test_a_newer_kernel_is_made_of_its_parts_and_kept_apart(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = tmp_path / "keyring"
    keyring.write_bytes(b"keys")
    monkeypatch.setattr(
        "overbook_sandbox.machine.kernel_image.Suite", functools.partial(Suite, keyring=str(keyring))
    )
    stable, newer = Debian(), NewerDebian()
    first = kernel_image(stable.host(), str(tmp_path), {})

    second = kernel_image(newer.host(), str(tmp_path), {}, "newer")

    assert kernel_image(newer.host(), str(tmp_path), {}, "newer") == second
    assert newer.downloaded == list(NEWER_PARTS)
    assert second.name == NEWER
    assert "virtio_pci" not in second.modules
    assert kernel_image(stable.host(), str(tmp_path), {}) == first
    assert set(later_modules(str(tmp_path), {}, "7.2.12+deb14-amd64")) == set(LATER) - {"crc32c_generic"}
    assert set(later_modules(str(tmp_path), {}, "6.1.0-1-amd64")) == set(LATER)


def test_a_kernels_package_has_its_files_unless_it_names_others() -> None:
    assert part_packages(DEPENDS) == ()
    assert part_packages(NEWER_DEPENDS["linux-image-amd64"]) == ()
    assert part_packages(NEWER_DEPENDS[NEWER]) == NEWER_PARTS


@pytest.mark.parametrize("damage", ["kernel", "overlay.ko", "manifest.json"])
def test_a_damaged_copy_is_replaced(tmp_path: pathlib.Path, damage: str) -> None:
    debian = Debian()
    kernel = kernel_image(debian.host(), str(tmp_path), {})
    (pathlib.Path(kernel.path).parent / damage).write_bytes(b"x")
    assert kernel_image(debian.host(), str(tmp_path), {}) == kernel
    assert debian.downloads == 2


def test_a_failed_download_leaves_nothing_and_names_the_reason(tmp_path: pathlib.Path) -> None:
    fake = FakeHost(
        dict(APT), lambda argv, _: (0, DEPENDS) if argv[0] == "apt-cache" else (100, "E: offline")
    )
    with pytest.raises(SandboxUnavailableError, match=r"cannot download linux-image-6(?s:.*)E: offline"):
        kernel_image(fake.host(), str(tmp_path), {})
    assert os.listdir(tmp_path / "kernel") == []


def test_missing_package_lists_are_fetched_where_that_is_allowed(tmp_path: pathlib.Path) -> None:
    debian = Debian(["", DEPENDS])
    assert kernel_image(debian.host(install=True), str(tmp_path), {}).name == PACKAGE
    assert "fetching apt's package lists" in debian.said
    with pytest.raises(SandboxUnavailableError, match="apt-get update"):
        kernel_image(Debian([""]).host(), str(tmp_path / "other"), {})


def test_an_error_without_apt_proposes_a_kernel_of_ones_own(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxUnavailableError, match="OVERBOOK_SANDBOX_KERNEL"):
        kernel_image(FakeHost({}).host(), str(tmp_path), {})


def test_a_kernel_of_ones_own_is_used_as_it_is(tmp_path: pathlib.Path) -> None:
    unpack(tmp_path)
    own = {
        "OVERBOOK_SANDBOX_KERNEL": str(tmp_path / "boot" / "vmlinuz-6.1"),
        "OVERBOOK_SANDBOX_MODULES": str(tmp_path / "lib" / "modules" / "6.1"),
    }
    assert kernel_image(FakeHost({}).host(), str(tmp_path), own).path == own["OVERBOOK_SANDBOX_KERNEL"]
    with pytest.raises(SandboxUnavailableError, match="set OVERBOOK_SANDBOX_MODULES"):
        kernel_image(FakeHost({}).host(), str(tmp_path), own | {"OVERBOOK_SANDBOX_MODULES": "/none"})
    with pytest.raises(SandboxUnavailableError, match="no such file"):
        kernel_image(FakeHost({}).host(), str(tmp_path), {"OVERBOOK_SANDBOX_KERNEL": "/none"})
