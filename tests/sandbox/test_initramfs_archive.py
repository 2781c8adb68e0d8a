import stat
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from overbook_sandbox.machine import cpio, initramfs

FIELDS = (
    *("inode", "mode", "uid", "gid", "links", "time", "size"),
    *("major", "minor", "device_major", "device_minor", "name_size", "check"),
)


def members(archive: bytes) -> Iterator[tuple[str, dict[str, int], bytes]]:
    """Read a newc archive as the kernel does, up to the trailer."""
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        numbers = (int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13))
        header = dict(zip(FIELDS, numbers, strict=True))
        name = archive[at + 110 : at + 110 + header["name_size"]]
        assert name.endswith(b"\0")
        start = (at + 110 + header["name_size"] + 3) & ~3
        if name == b"TRAILER!!!\0":
            return
        yield name[:-1].decode(), header, archive[start : start + header["size"]]
        at = (start + header["size"] + 3) & ~3


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=50))))
def test_packed_files_are_what_the_kernel_unpacks(files: list[tuple[str, bytes]]) -> None:
    archive = cpio.archive(cpio.regular_file(name, data) for name, data in files)
    assert [(name, data) for name, _, data in members(archive)] == files
    assert len(archive) % 4 == 0  # or a second archive could not follow


def test_members_have_their_kinds() -> None:
    entries = [
        cpio.directory("dev"),
        cpio.character_device("dev/console", 5, 1),
        cpio.regular_file("init", b"#!", executable=True),
        cpio.regular_file("data", b""),
    ]
    found = {name: header for name, header, _ in members(cpio.archive(entries))}
    assert {name: header["mode"] for name, header in found.items()} == {
        "dev": stat.S_IFDIR | 0o755,
        "dev/console": stat.S_IFCHR | 0o600,
        "init": stat.S_IFREG | 0o755,
        "data": stat.S_IFREG | 0o644,
    }
    assert (found["dev/console"]["device_major"], found["dev/console"]["device_minor"]) == (5, 1)


def test_the_initramfs_holds_the_modules_and_their_order() -> None:
    archive = initramfs.build(b"busybox", {"b": b"B", "a": b"A"}, initramfs.guest_scripts())
    contents = {name: data for name, _, data in members(archive)}
    assert contents["modules/order"] == b"b\na\n"
    assert contents["modules/a.ko"] == b"A"
    assert contents["bin/busybox"] == b"busybox"
    assert contents["init"].startswith(b"#!/bin/busybox sh\n")
    assert "guest_start.sh" in contents


def test_equal_contents_give_equal_archives() -> None:
    assert initramfs.build(b"x", {"a": b"A"}, {}) == initramfs.build(b"x", {"a": b"A"}, {})
