"""Whether a disk is a hypervisor's: by what the disk calls itself, or by the machine's DMI strings.

Hypervisors report most of their disks as rotating, whatever these are stored on. Source: systemd
src/basic/virt.c for the DMI strings; the disks' names are those of the hypervisors' device models.
"""

import os
from typing import Final

from overbook.kernel.files import KernelFileError, read_file, under

_DISK_WORDS: Final = (
    "vmware",
    "qemu",
    "msft",
    "virtual disk",
    "nutanix",
    "vbox",
    "xen",
    "bhyve",
    "parallels",
    "virtio",
    "ovirt",
    "kubevirt",
    "amazon elastic block store",
    "msft nvme accelerator",
    "nvme_card-pd",
    "persistentdisk",
    "oracle blockvolume",
    "red hat",
)
"""Parts of the vendor and model of virtual disks, in lower case. Disks that a cloud passes through, such as
Amazon's instance storage, call themselves otherwise."""
_MACHINE_WORDS: Final = (
    "qemu",
    "kvm",
    "vmware",
    "kubevirt",
    "openstack",
    "openshift virtualization",
    "amazon ec2",
    "google compute engine",
    "innotek gmbh",
    "virtualbox",
    "xen",
    "bochs",
    "parallels",
    "bhyve",
    "hyper-v",
    "virtual machine",
    "ahv",
    "alibaba cloud ecs",
    "droplet",
    "vserver",
    "standard pc (",
)
_MACHINE_FILES: Final = ("sys_vendor", "product_name", "board_vendor", "bios_vendor")


def is_virtual_machine(root: str | os.PathLike[str] = "/") -> bool:
    """Whether the machine's DMI strings are those of a hypervisor; a cloud's bare metal is none."""
    texts = [_text(under(root, f"/sys/class/dmi/id/{name}")) for name in _MACHINE_FILES]
    if "metal" in texts[1]:
        return False
    return any(word in text for word in _MACHINE_WORDS for text in texts)


def is_virtual_disk(device: str) -> bool:
    """Whether a disk, given by its folder in sysfs, has a hypervisor's vendor or model."""
    name = f"{_text(f'{device}/device/vendor')} {_text(f'{device}/device/model')}"
    return any(word in name for word in _DISK_WORDS)


def _text(path: str) -> str:
    try:
        return read_file(path).decode("utf-8", "replace").strip().lower()
    except KernelFileError:
        return ""
