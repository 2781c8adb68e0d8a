import gzip
import lzma
import pathlib

import pytest

from overbook_sandbox.machine.errors import SandboxError
from overbook_sandbox.machine.kernel_modules import ModuleTree, dependencies, load_order


def module(*depends: str) -> bytes:
    return b"\x7fELF...license=GPL\0depends=" + ",".join(depends).encode() + b"\0retpoline=Y\0"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "kernel" / "fs").mkdir(parents=True)
    (tmp_path / "kernel" / "fs" / "9p.ko").write_bytes(module("9pnet", "fs-cache"))
    (tmp_path / "kernel" / "fs" / "fs-cache.ko.gz").write_bytes(gzip.compress(module("netfs")))
    (tmp_path / "kernel" / "9pnet.ko.xz").write_bytes(lzma.compress(module()))
    (tmp_path / "kernel" / "notes.kooky").write_bytes(b"no module")
    (tmp_path / "modules.builtin").write_text("kernel/fs/netfs.ko\n")
    return tmp_path


def test_a_module_names_what_it_needs() -> None:
    assert dependencies(module("9pnet", "fs-cache")) == ("9pnet", "fs_cache")
    assert dependencies(module()) == ()


def test_modules_follow_their_dependencies_without_built_in_ones(folder: pathlib.Path) -> None:
    modules = ModuleTree(str(folder)).collect(["9p"])
    assert sorted(modules) == ["9p", "9pnet", "fs_cache"]
    assert list(modules)[-1] == "9p"
    assert modules["fs_cache"] == module("netfs")


def test_a_missing_module_is_named(folder: pathlib.Path) -> None:
    with pytest.raises(SandboxError, match="no module virtio_blk"):
        ModuleTree(str(folder)).collect(["virtio-blk"])


def test_an_unknown_compression_is_named(folder: pathlib.Path) -> None:
    (folder / "kernel" / "overlay.ko.zst").write_bytes(b"")
    with pytest.raises(SandboxError, match=r"cannot decompress \.ko\.zst"):
        ModuleTree(str(folder)).collect(["overlay"])


def test_a_circle_is_an_error() -> None:
    with pytest.raises(SandboxError, match="circle"):
        load_order(["a"], {"a": ["b"], "b": ["a"]}.__getitem__)


def test_a_missing_folder_is_an_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(SandboxError, match="no such folder"):
        ModuleTree(str(tmp_path / "none"))
