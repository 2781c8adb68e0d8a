"""Swap on distributions and installers that handle it in their own way, as trees of files."""

import pathlib

import pytest

from overbook.kernel.swaps import SwapArea
from overbook.node.doctor.owners import boot_swap, masked_swap, owners, unexplained_swap
from overbook_sandbox.fakes.kernel_files import build_tree

BASE: dict[str, object] = {"etc": {}, "run": {}, "proc": {}}
TARGET = "etc/systemd/system/swap.target"


def host(root: pathlib.Path, **files: str) -> str:
    build_tree(root, BASE | files)
    return str(root)


@pytest.mark.parametrize(
    "path",
    [
        "etc/systemd/system/swap-disk-enable.service",
        "etc/systemd/system/ocpswap-file-enable.service",
        "etc/systemd/system/ocpswap-file-enable.service.d/10-wait-for-provisioning.conf",
        "etc/openshift/kubelet.conf.d/90-swap.conf",
        "usr/local/bin/kubevirt-provision-file-swap.sh",
    ],
)
def test_the_autopilot_is_known_by_each_of_its_files(tmp_path: pathlib.Path, path: str) -> None:
    (found,) = owners(host(tmp_path, **{path: ""}))

    assert found == f"virt-platform-autopilot (/{path})"


def test_a_service_of_rhcos_that_turns_on_a_partition_is_found(tmp_path: pathlib.Path) -> None:
    """RHCOS links /usr/local to /var/usrlocal, and its units are in /etc."""
    unit = "etc/systemd/system/swap-disk-enable.service"
    root = host(
        tmp_path,
        **{
            "etc/os-release": "ID=rhcos\n",
            "var/usrlocal/bin/kubevirt-provision-file-swap.sh": "swapon /var/tmp/x\n",
            unit: "[Service]\nExecStart=/sbin/swapon --priority 100 /dev/disk/by-partlabel/OCPSWAP\n",
        },
    )
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/local").symlink_to("../var/usrlocal")

    assert any("usr/local/bin/kubevirt-provision-file-swap.sh" in owner for owner in owners(root))
    assert boot_swap(root) == (f"/{unit}",)


def test_flatcars_swap_unit_from_ignition_explains_its_file(tmp_path: pathlib.Path) -> None:
    unit = "etc/systemd/system/var-vm-swapfile1.swap"
    root = host(
        tmp_path,
        **{
            "etc/os-release": "ID=flatcar\n",
            unit: "[Swap]\nWhat=/var/vm/swapfile1\n",
            "etc/systemd/system/create-swapfile.service": "[Service]\nExecStart=/usr/sbin/mkswap /x\n",
        },
    )

    assert boot_swap(root) == (f"/{unit}",)
    assert unexplained_swap(root, [SwapArea("/var/vm/swapfile1", "file", 1, 0, -2)]) == ()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"usr/lib/systemd/zram-generator.conf": "[zram0]\n"}, ("/usr/lib/systemd/zram-generator.conf",)),
        # kubespray switches Fedora's zram off with an empty file, which overrides the distribution's.
        ({"usr/lib/systemd/zram-generator.conf": "[zram0]\n", "etc/systemd/zram-generator.conf": ""}, ()),
        ({"etc/systemd/zram-generator.conf": "# [zram0]\n"}, ()),
        (
            {"etc/systemd/zram-generator.conf": "", "etc/systemd/zram-generator.conf.d/a.conf": "[zram1]\n"},
            ("/etc/systemd/zram-generator.conf.d/a.conf",),
        ),
        ({"run/systemd/zram-generator.conf": "[zram0]\n"}, ("/run/systemd/zram-generator.conf",)),
    ],
    ids=["coreos", "kubespray", "remark", "drop-in", "run"],
)
def test_zrams_generator_counts_only_with_a_section(
    tmp_path: pathlib.Path, files: dict[str, str], found: tuple[str, ...]
) -> None:
    root = host(tmp_path, **files)

    assert boot_swap(root) == found
    explained = unexplained_swap(root, [SwapArea("/dev/zram0", "partition", 1, 0, 100)]) == ()
    assert explained == bool(found)


def test_a_masked_target_turns_nothing_on_at_boot(tmp_path: pathlib.Path) -> None:
    root = host(tmp_path, **{"etc/fstab": "/dev/vda2 none swap sw 0 0\n"})
    assert (boot_swap(root), masked_swap(root)) == (("/etc/fstab (/dev/vda2)",), ())

    (tmp_path / TARGET).parent.mkdir(parents=True)
    (tmp_path / TARGET).symlink_to("/dev/null")

    assert (boot_swap(root), masked_swap(root)) == ((), ("/etc/fstab (/dev/vda2)",))
