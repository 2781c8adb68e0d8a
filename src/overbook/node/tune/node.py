"""A node and its tuning: the present settings and the wanted ones."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Final, Literal

import msgspec

from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.text import shown
from overbook.kernel.block_device import whole_disks
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.mountinfo import mount_of, read_mountinfo
from overbook.kernel.swaps import read_swaps
from overbook.kernel.tunable import NO_TARGET, has_io_latency, read_tunable
from overbook.kernel.zoneinfo import read_zoneinfo
from overbook.node.files import HostFile
from overbook.node.kubelet import running_kubelet
from overbook.node.system_slices import SYSTEM_SLICE, other_slices
from overbook.node.tune import rules as tuning
from overbook.node.tune.files import (
    OVERCOMMIT_UNIT_FILE,
    USUAL_KUBELET_UNIT,
    host_files,
    slice_drop_ins,
)
from overbook.node.tune.remembered import read_remembered
from overbook.node.tune.rules import Overcommit, Remembered, TuningFacts, WantedSetting
from overbook.node.tune.watermark import Watermarks

KUBELET_TRACES: Final = (
    "var/lib/kubelet/config.yaml",
    "etc/kubernetes/kubelet.conf",
    "etc/kubernetes/kubelet/config.json",
    "var/lib/rancher/k3s/agent",
    "var/lib/rancher/rke2/agent",
    "var/snap/microk8s/current/args/kubelet",
    "var/lib/microshift/resources/kubelet",
)
"""Files that show that a kubelet is installed, even if it does not run."""


class TunedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node's present state, from which the wanted settings are computed.

    Attributes:
        root: the host's file system.
        systemd: whether the host runs systemd.
        facts: the input of the rules.
        remembered: the settings that were changed earlier.
        overcommit: the wanted state of overcommit.
        kubelet_unit: the kubelet's systemd unit.
        latency_devices: the devices for systemd's drop-in, for `TuningFacts.io_latency_disks`.
        io_latency: whether the kernel has io.latency.
        swapped_bytes: the memory that is in swap, by slice.
        slice_drop_ins: the paths of the slices' drop-ins that are there.
    """

    root: str
    systemd: bool
    facts: TuningFacts
    remembered: Mapping[str, Remembered]
    overcommit: Overcommit
    kubelet_unit: str = USUAL_KUBELET_UNIT
    latency_devices: tuple[str, ...] = ()
    io_latency: bool = False
    swapped_bytes: Mapping[str, int] = {}
    slice_drop_ins: tuple[str, ...] = ()

    @property
    def wishes(self) -> tuple[WantedSetting, ...]:
        """The wanted settings."""
        return tuning.wishes(self.facts, self.overcommit, self.remembered)

    @property
    def files(self) -> dict[str, HostFile]:
        """The files that restore the settings after a boot."""
        return host_files(
            self.wishes,
            latency_devices=self.latency_devices,
            overcommit_off=self.overcommit == "off",
            kubelet_unit=self.kubelet_unit,
            slices=self.facts.slices,
        )

    @property
    def refusal(self) -> str | None:
        """Why the tuning cannot be applied; ``None`` if it can."""
        return tuning.overcommit_refusal(self.facts.kubelet) if self.overcommit == "off" else None


def look(root: str, asked: Overcommit | None = None) -> TunedNode:
    """Read the node's state, without changing anything.

    Args:
        root: the host's file system.
        asked: whether the kernel shall overcommit; ``None``: as installed, or else on.

    Raises:
        InvalidInput: the kubelet's configuration, or the file of old values, is malformed.
        OSError, KernelFileError: a file cannot be read.
    """
    installed: Overcommit = "off" if os.path.exists(os.path.join(root, OVERCOMMIT_UNIT_FILE)) else "on"
    kubelet = running_kubelet(root)
    configuration = kubelet.configuration if kubelet else KubeletConfiguration()
    io_latency = has_io_latency(SYSTEM_SLICE, root)
    numbers = tuple(_latency_disks(root)) if io_latency else ()
    disks = tuple(sorted({disk for _, below in numbers for disk in below}))
    remembered = read_remembered(root)
    slices = (SYSTEM_SLICE, *other_slices(root))
    limits = (f"{slice_}/memory.swap.max" for slice_ in slices)
    present = {name: read_tunable(name, root) for name in (*tuning.SYSCTLS, *limits)}
    for slice_ in slices:
        for disk in disks:  # if the io controller is off, systemd will switch it on
            name = f"{slice_}/io.latency/{disk}"
            present[name] = read_tunable(name, root) or NO_TARGET
    swapped = {name: int(read_tunable(f"{name}/memory.swap.current", root) or 0) for name in slices}
    eviction = configuration.eviction_start(read_meminfo(root).mem_total_bytes)
    kind: Literal["Lenient", "Strict", "Stopped", "Absent"] = "Absent"
    if kubelet is not None:
        kind = "Strict" if configuration.protect_kernel_defaults else "Lenient"
    elif any(os.path.exists(os.path.join(root, path)) for path in KUBELET_TRACES):
        kind = "Stopped"
    return TunedNode(
        root=root,
        systemd=os.path.isdir(os.path.join(root, "run/systemd/system")),
        facts=TuningFacts(
            values={name: value for name, value in present.items() if value is not None},
            watermarks=_watermarks(root),
            eviction_bytes=eviction.size_bytes,
            eviction_field=eviction.field,
            slices=slices,
            io_latency_disks=disks,
            kubelet=kind,
        ),
        remembered=remembered,
        overcommit=asked or installed,
        kubelet_unit=(kubelet.unit if kubelet else "") or USUAL_KUBELET_UNIT,
        latency_devices=tuple(device for device, _ in numbers),
        io_latency=io_latency,
        swapped_bytes=swapped,
        slice_drop_ins=tuple(slice_drop_ins(root)),
    )


def notes(node: TunedNode) -> tuple[str, ...]:
    """Notes for the user in addition to the settings."""
    found = list(tuning.shortcomings(node.facts))
    found += [
        f"{shown(swapped)} of {name} are still in swap from earlier; they return to RAM when they are used"
        for name, swapped in node.swapped_bytes.items()
        if swapped
    ]
    if not node.systemd:
        names = " and ".join(node.facts.slices)
        found.append(f"there is no systemd here: the settings of {names} last only until the next boot")
    if not node.io_latency:
        found.append("this kernel has no io.latency: the system gets no latency target for the disk")
    if node.overcommit == "off" and not node.systemd:
        found.append("there is no systemd here: the kubelet switches overcommit on when it starts again")
    return tuple(found)


def _watermarks(root: str) -> Watermarks:
    zones = read_zoneinfo(root)
    return Watermarks(zones.min_bytes, zones.low_bytes, zones.managed_bytes)


def _latency_disks(root: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The devices for systemd with their disks: the root's, then those of swap on other disks."""
    seen: set[str] = set()
    mounts = read_mountinfo(root)
    for path in ("/", *(area.filename for area in read_swaps(root))):
        mount = mount_of(path, mounts)
        number = mount.device if mount else ""
        with suppress(OSError):
            details = os.stat(os.path.join(root, path.lstrip("/")))
            if details.st_rdev:
                number = f"{os.major(details.st_rdev)}:{os.minor(details.st_rdev)}"
        below = whole_disks(number, root)
        if below and not seen.issuperset(below):
            seen.update(below)
            yield path, below
