"""The memory that KubeVirt adds to a guest's for the processes that run beside it in the launcher pod.

Where the pod has the number (annotation ``kubevirt.io/memory-overhead-bytes``, KubeVirt 1.8 with a feature
gate, 1.10 always), read that: it cannot be out of date. Source of the computation:
``pkg/hypervisor/kvm`` and ``pkg/network/resources`` of KubeVirt 1.3 to main of 2026-08.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.pod import Pod
from overbook.core.kubernetes.quantity import MAX_INT64, ZERO, Quantity, added
from overbook.core.kubernetes.resources import CPU, MEMORY
from overbook.core.kubevirt.vm import VirtualMachineInstance

MIB: Final = 1 << 20
OVERHEAD_ANNOTATION: Final = "kubevirt.io/memory-overhead-bytes"
PAGE_TABLE_DIVISOR: Final = 512
_VERSION: Final = re.compile(r"v?1\.(?P<minor>[0-9]{1,4})(?:[.-].*)?")


class Release(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The numbers and rules that differ between KubeVirt's releases.

    Attributes:
        name: the release, such as ``v1.9``.
        processes_mib: resident memory of monitor, launcher, virtlogd, virtqemud and QEMU.
        divides_hugepages: whether the percentage is wrongly applied to guests on large pages.
        image_volumes: whether container disks are image volumes by default, which need no running container.
    """

    name: str
    processes_mib: int
    divides_hugepages: bool
    image_volumes: bool = True


_OLD: Final = 25 + 100 + 20 + 35 + 30
_MIDDLE: Final = 25 + 100 + 25 + 40 + 30
_NEW: Final = 25 + 100 + 25 + 40 + 50

RELEASES: Final[Mapping[str, Release]] = {
    **{
        f"v1.{minor}": Release(
            name=f"v1.{minor}",
            processes_mib=_OLD if minor <= 4 else _MIDDLE,
            divides_hugepages=True,
            image_volumes=minor >= 7,
        )
        for minor in range(3, 10)
    },
    "v1.10": Release(name="v1.10", processes_mib=_NEW, divides_hugepages=False),
}
MAIN: Final = RELEASES["v1.10"]


def release(version: str) -> Release:
    """The release that ``version`` (``v1.9.2``, ``1.9``, ``main``) belongs to; later ones count as main.

    Raises:
        InvalidInput: the text is not a version of KubeVirt, or the version is before 1.3.
    """
    if version == "main":
        return MAIN
    match = _VERSION.fullmatch(version)
    minor = int(match["minor"]) if match else 0
    if minor < 3:
        raise InvalidInput("KubeVirt version", version, 'a version from "v1.3" on, or "main"')
    return RELEASES.get(f"v1.{minor}", MAIN)


def reported_overhead_bytes(pod: Pod) -> int | None:
    """The overhead that KubeVirt wrote on the launcher pod, in bytes; ``None`` where it wrote none.

    Raises:
        InvalidInput: the annotation is not a number of bytes.
    """
    text = pod.annotations.get(OVERHEAD_ANNOTATION)
    if text is None:
        return None
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_INT64))
    if not digits or int(text) > MAX_INT64:
        raise InvalidInput(f"Pod {pod.label}: annotation {OVERHEAD_ANNOTATION}", text, "a number of bytes")
    return int(text)


def overhead_bytes(
    vmi: VirtualMachineInstance,
    *,
    running: Release = MAIN,
    architecture: str | None = None,
    ratio: str | None = None,
    binding_bytes: int = 0,
) -> int:
    """The overhead of :func:`overhead_quantity` in bytes, rounded up.

    Args:
        vmi: the VM.
        running: the KubeVirt release in the cluster.
        architecture: the node's architecture; default: the VM's own, else ``amd64``.
        ratio: ``additionalGuestMemoryOverheadRatio`` of the KubeVirt configuration.
        binding_bytes: memory for network binding plugins, to which the ratio does not apply.

    Raises:
        InvalidInput: a quantity or the ratio is not valid.
    """
    binding = Quantity(binding_bytes, 0, "BinarySI")
    return overhead_quantity(
        vmi, running=running, architecture=architecture, ratio=ratio, binding=binding
    ).value()


def overhead_quantity(
    vmi: VirtualMachineInstance,
    *,
    running: Release = MAIN,
    architecture: str | None = None,
    ratio: str | None = None,
    binding: Quantity = ZERO,
) -> Quantity:
    """The overhead that KubeVirt computes for a VM.

    The page-table part is computed from ``requests.memory`` of the VM as written, so it is 0 for a VM that
    sets only ``memory.guest``; where there is one, the quantity is decimal.

    Args:
        vmi: the VM.
        running: the KubeVirt release in the cluster.
        architecture: the node's architecture; default: the VM's own, else ``amd64``.
        ratio: ``additionalGuestMemoryOverheadRatio`` of the KubeVirt configuration.
        binding: memory for network binding plugins, to which the ratio does not apply.

    Raises:
        InvalidInput: a quantity or the ratio is not valid.
    """
    domain = vmi.spec.domain
    page_tables = Quantity(page_table_bytes(vmi), 0)
    mib = running.processes_mib + _hardware_mib(vmi) + _probes_mib(vmi)
    if (architecture or vmi.spec.architecture) == "arm64":
        mib += 128  # two 64 MiB flash images of the UEFI
    total = added(page_tables, Quantity(mib * MIB, 0, "BinarySI"))
    reserved = domain.memory.reserved_overhead if domain.memory else None
    if reserved is not None:
        total = added(total, vmi.quantity("memory.reservedOverhead.addedOverhead", reserved.added_overhead))
    total = _multiplied(total, ratio)
    if any(interface.passt_binding is not None for interface in domain.devices.interfaces or ()):
        total = added(total, Quantity(250 * MIB, 0, "BinarySI"))
    return added(total, binding)


def page_table_bytes(vmi: VirtualMachineInstance) -> int:
    """The page tables' part: 1/512 of the written memory request, which is first rounded up to kilobytes."""
    listed = vmi.spec.domain.resources.requests or {}
    return page_table_part(vmi.quantity("resources.requests.memory", listed.get(MEMORY)).value())


def page_table_part(request_bytes: int) -> int:
    """The page tables' part for a written memory request of this size."""
    return -(-max(0, request_bytes) // 1000) * 1000 // PAGE_TABLE_DIVISOR


def vcpu_count(vmi: VirtualMachineInstance) -> int:
    """The number of vCPUs that KubeVirt adds overhead for: topology, else CPU limit, else request, else 1."""
    domain = vmi.spec.domain
    if domain.cpu is not None:
        return max(1, domain.cpu.vcpus)
    for listed in (domain.resources.limits, domain.resources.requests):
        if listed and CPU in listed:
            return max(1, vmi.quantity(f"resources: {CPU}", listed[CPU]).value())
    return 1


def wants_guaranteed(vmi: VirtualMachineInstance) -> bool:
    """Whether KubeVirt adds memory so that the pod is Guaranteed: CPU and memory requests equal the limits.

    A memory limit without a request counts as equal.
    """
    requests, limits = vmi.requests_and_limits()
    memory = requests.memory_millibytes or limits.memory_millibytes
    same_memory = bool(memory) and memory == limits.memory_millibytes
    return same_memory and bool(requests.cpu_milli) and requests.cpu_milli == limits.cpu_milli


def _hardware_mib(vmi: VirtualMachineInstance) -> int:
    domain = vmi.spec.domain
    mib = 8 * vcpu_count(vmi) + 8  # and one I/O thread
    if domain.devices.autoattach_graphics_device is not False:
        mib += 32
    if vmi.has_vfio:
        mib += 1024  # the address space of the devices
    if any(volume.downward_metrics is not None for volume in vmi.spec.volumes or ()):
        mib += 1
    security = domain.launch_security
    if security is not None and (security.sev is not None or security.snp is not None):
        mib += 256
    if domain.devices.tpm is not None and domain.devices.tpm.enabled is not False:
        mib += 53
    if vmi.has_dedicated_cpu or wants_guaranteed(vmi):
        mib += 100
    return mib


def _probes_mib(vmi: VirtualMachineInstance) -> int:
    probes = (vmi.spec.liveness_probe, vmi.spec.readiness_probe)
    commands = sum(probe is not None and probe.exec is not None for probe in probes)
    return 10 * commands + (100 if commands else 0)


def _multiplied(total: Quantity, ratio: str | None) -> Quantity:
    """The overhead with the ratio: KubeVirt adds (ratio - 1) of it in kilobytes, in truncated floats."""
    if not ratio:
        return total
    try:
        factor = float(ratio)
    except ValueError:
        factor = math.nan
    if not 0 < factor <= 1_000_000:
        raise InvalidInput("additionalGuestMemoryOverheadRatio", ratio, 'a number above 0, such as "1.05"')
    return added(total, Quantity(int(total.scaled(3) * (factor - 1.0)), 3))
