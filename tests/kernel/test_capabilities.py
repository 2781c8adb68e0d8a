"""What the kernel can do is seen by the files of cgroups that live; tests/emulated asks real kernels."""

import gzip
import pathlib

import pytest

from overbook.kernel.capabilities import (
    KernelCapabilities,
    MemoryController,
    parse_memory_line,
    read_capabilities,
)
from overbook.kernel.files import MissingKernelFile
from overbook_sandbox.fakes.kernel_files import build_tree, container_files, make_cgroup, make_node

BURSTABLE = "kubepods.slice/kubepods-burstable.slice"
POD = f"{BURSTABLE}/kubepods-burstable-pod7e81fefd_5daa_5bcd_befd_e19e15d90282.slice"
CONTAINER = f"{POD}/cri-containerd-{'ab' * 32}.scope"
CGROUPS = "sys/fs/cgroup"


class Kernel:
    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        make_node(root)
        for path in ("system.slice", "kubepods.slice", BURSTABLE, POD, CONTAINER):
            make_cgroup(root, path)
        self.write("proc/cmdline", "quiet psi=1\n")

    def write(self, path: str, text: str) -> None:
        build_tree(self.root, {path: text})

    def without(self, *names: str) -> None:
        for name in names:
            for path in (self.root / CGROUPS).rglob(name):
                path.unlink()

    def read(self) -> KernelCapabilities:
        return read_capabilities(self.root)


@pytest.fixture
def kernel(tmp_path: pathlib.Path) -> Kernel:
    return Kernel(tmp_path)


def test_a_kernel_that_can_do_all_is_read_as_such(kernel: Kernel) -> None:
    found = kernel.read()

    assert found.limits_swap
    assert (found.swap_counted, found.reclaims, found.stalls_missing_in) == (True, True, None)
    assert found.boot_arguments == ("quiet", "psi=1")
    assert found.not_built == frozenset()


def test_a_kernel_without_swap_accounting_counts_nothing(kernel: Kernel) -> None:
    kernel.without("memory.swap.max", "memory.swap.current", "memory.swap.events")

    assert kernel.read().swap_counted is False
    assert not kernel.read().limits_swap


def test_one_cgroup_with_the_file_shows_that_swap_counts(kernel: Kernel) -> None:
    kernel.without("memory.swap.max")
    make_cgroup(kernel.root, "system.slice/a.service", {"memory.swap.max": "0\n"})

    assert kernel.read().swap_counted is True


@pytest.mark.parametrize(
    ("cgroups", "expected"),
    [
        ("memory\t0\t60\t0\n", "Disabled"),
        ("memory\t0\t60\t1\n", "NotDelegated"),
        ("memory\t9\t60\t1\n", "Version1"),
        ("pids\t0\t60\t1\n", "NotKnown"),
        (None, "NotKnown"),
    ],
)
def test_a_missing_controller_has_its_reason(
    kernel: Kernel, cgroups: str | None, expected: MemoryController
) -> None:
    kernel.write(f"{CGROUPS}/cgroup.controllers", "cpuset cpu io pids\n")
    if cgroups is not None:
        kernel.write(
            "proc/cgroups", f"#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t0\t9\t1\n{cgroups}"
        )

    assert kernel.read().memory_controller == expected
    assert not kernel.read().limits_swap


def test_the_cgroup_that_does_not_enable_memory_is_named(kernel: Kernel) -> None:
    kernel.write(f"{CGROUPS}/cgroup.subtree_control", "cpu memory\n")
    kernel.write(f"{CGROUPS}/kubepods.slice/cgroup.subtree_control", "cpu pids\n")
    assert kernel.read().memory_ends_at == "kubepods.slice"
    assert not kernel.read().limits_swap

    kernel.write(f"{CGROUPS}/cgroup.subtree_control", "cpu\n")
    assert kernel.read().memory_ends_at == ""


def test_a_container_does_not_have_to_enable_anything(kernel: Kernel) -> None:
    for path in ("", "kubepods.slice", BURSTABLE, POD):
        kernel.write(f"{CGROUPS}/{path}/cgroup.subtree_control", "cpu memory\n")
    kernel.write(f"{CGROUPS}/{CONTAINER}/cgroup.subtree_control", "\n")

    assert kernel.read().memory_ends_at is None


def test_a_cgroup_without_stalls_is_named(kernel: Kernel) -> None:
    (kernel.root / CGROUPS / BURSTABLE / "memory.pressure").unlink()
    kernel.write(f"{CGROUPS}/{BURSTABLE}/cgroup.pressure", "0\n")

    assert (kernel.read().stalls_missing_in, kernel.read().stalls_switched_off) == (BURSTABLE, True)


def test_an_older_kernel_cannot_reclaim(kernel: Kernel) -> None:
    kernel.without("memory.reclaim")
    assert kernel.read().reclaims is False


@pytest.mark.parametrize("packed", [True, False])
def test_the_kernels_configuration_says_what_is_not_built(kernel: Kernel, packed: bool) -> None:
    text = "CONFIG_MEMCG=y\n# CONFIG_PSI is not set\n# CONFIG_PSI_DEFAULT_DISABLED is not set\n"
    if packed:
        (kernel.root / "proc/config.gz").write_bytes(gzip.compress(text.encode()))
    else:
        kernel.write("proc/sys/kernel/osrelease", "6.1.0-1-amd64\n")
        kernel.write("boot/config-6.1.0-1-amd64", text)

    assert kernel.read().not_built == {"CONFIG_PSI"}


def test_a_node_without_cgroups_has_no_claims(tmp_path: pathlib.Path) -> None:
    make_node(tmp_path)
    found = read_capabilities(tmp_path)
    assert (found.swap_counted, found.reclaims) == (None, None)

    with pytest.raises(MissingKernelFile):
        read_capabilities(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "memory\n", "memory x 1 1\n", "\xff\n"])
def test_a_malformed_list_of_controllers_has_no_line(text: str) -> None:
    assert parse_memory_line(text.encode("latin-1")) is None


def test_files_of_a_container_are_those_of_a_kernel_that_can() -> None:
    assert {"memory.swap.max", "memory.pressure", "memory.reclaim"} <= container_files().keys()


def test_a_sandbox_is_looked_at_before_swap_is_denied(kernel: Kernel) -> None:
    kernel.without("memory.swap.max")
    make_cgroup(kernel.root, f"{POD}/kata_{'ab' * 32}")

    assert kernel.read().swap_counted is True
