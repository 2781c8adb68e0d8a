"""The description of a node, and the emulator's command line for it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Kernel = Literal["older", "stable", "newer"]
"""``stable`` is the kernel of this host's Debian suite; the others are 5.10 and one of a newer suite."""

MEBIBYTE = 1 << 20
GIBIBYTE = 1 << 30

_KERNEL_FIXED_BYTES = 48 * MEBIBYTE
_PAGE_STRUCT_SHARE = 64  # 64 bytes of bookkeeping for each page of 4096

# All features of the emulator except two: five-level page tables make each emulated walk longer, and with
# fast byte strings the kernel and libc would clear and copy byte by byte, 2.5 times slower than by words.
_CPU = "max,la57=off,erms=off,fsrm=off"

OUTPUT_PORT = "overbook.output"
HOST_ADDRESS = "10.0.2.2"
"""The address of the host's loopback in a node with a network."""
NODE_ADDRESS = "10.0.2.15"
"""The node's own address in the emulator's /24 network."""
HOST_TAG = "host"
SHARE_TAG = "share"


class MachineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An emulated node.

    Attributes:
        kernel: The node's kernel, for which `image.prepare` is asked.
        memory_bytes: The node's MemTotal, within 2 %.
        swap_bytes: The size of the swap disk `/dev/vda`; 0 for none.
        swap_operations_per_second: The limit of the swap disk in operations; 0 for no limit.
        swap_bytes_per_second: The limit of the swap disk in bytes; 0 for no limit.
        swap_on: Whether swap is on when the command starts.
        kept_disk: An existing file of any size that is used as the disk, and kept for the next boot. Empty:
            the disk ends with the node.
        cpus: The number of CPUs. Each is a thread of the host, and 10 to 20 times slower.
        counted_clock: Whether the node's clock counts instructions while a CPU works, one a nanosecond. A
            busy host then makes the node take longer, but not slower in its own time. For one CPU only: with
            several, the kernel's boot does not end.
        psi: Whether the kernel reports pressure stall information.
        cgroup_version: 2, or 1 for a node such as old distributions have.
        network: Whether the node has a network card. The node reaches the host's loopback as `HOST_ADDRESS`;
            the host cannot reach the node.
        kernel_arguments: Additional words for the kernel's command line.
        boot_timeout_seconds: The time limit of the boot.
        timeout_seconds: The time limit of the command.
    """

    kernel: Kernel = "stable"
    memory_bytes: int = GIBIBYTE
    swap_bytes: int = 512 * MEBIBYTE
    swap_operations_per_second: int = 0
    swap_bytes_per_second: int = 0
    swap_on: bool = True
    kept_disk: str = ""
    cpus: int = 1
    counted_clock: bool = False
    psi: bool = True
    cgroup_version: Literal[1, 2] = 2
    network: bool = False
    kernel_arguments: tuple[str, ...] = ()
    boot_timeout_seconds: float = 120.0
    timeout_seconds: float = 600.0


def machine_memory_mebibytes(memory_bytes: int) -> int:
    """The RAM of the machine with which the kernel reports `memory_bytes`, after taking its own part."""
    machine = (memory_bytes + _KERNEL_FIXED_BYTES) * _PAGE_STRUCT_SHARE / (_PAGE_STRUCT_SHARE - 1)
    return round(machine / MEBIBYTE)


def kernel_command_line(spec: MachineSpec) -> str:
    """The kernel's arguments: few messages, reboot on a panic, and no mitigations, which would be slow."""
    words = (
        "console=ttyS0",
        "quiet",
        "panic=-1",
        "mitigations=off",
        f"psi={int(spec.psi)}",
        *spec.kernel_arguments,
    )
    return " ".join(words)


def qemu_argv(
    spec: MachineSpec,
    *,
    qemu: str,
    kernel: str,
    initramfs: str,
    share: str,
    swap_disk: str | None,
    output_fd: int | None,
) -> list[str]:
    """The command line that boots a node.

    Args:
        spec: The node.
        qemu: The path of the emulator.
        kernel: The path of the kernel.
        initramfs: The path of the archive, with the job in it.
        share: A folder of the host in which the node may write.
        swap_disk: The path of a raw disk image; None for no disk.
        output_fd: A connected socket for the job's output; None: a person uses the console.

    Returns:
        The arguments, the program first.
    """
    argv = [qemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]
    argv += ["-machine", "q35", "-accel", f"tcg,thread={_threads(spec)}", "-cpu", _CPU]
    argv += ["-icount", "shift=0,sleep=on"] if spec.counted_clock else []
    argv += ["-m", f"{machine_memory_mebibytes(spec.memory_bytes)}M", "-smp", str(spec.cpus)]
    argv += ["-kernel", kernel, "-initrd", initramfs, "-append", kernel_command_line(spec)]
    argv += _folder(HOST_TAG, "/", "readonly=on")
    argv += _folder(SHARE_TAG, share)
    if swap_disk is not None:
        drive = f"file={_escaped(swap_disk)},format=raw,if=virtio,cache=unsafe,discard=unmap"
        if spec.swap_operations_per_second:
            drive += f",throttling.iops-total={spec.swap_operations_per_second}"
        if spec.swap_bytes_per_second:
            drive += f",throttling.bps-total={spec.swap_bytes_per_second}"
        argv += ["-drive", drive]
    if spec.network:
        argv += ["-netdev", "user,id=network,ipv6=off", "-device", "virtio-net-pci,netdev=network,romfile="]
    if output_fd is None:
        return [*argv, "-serial", "mon:stdio"]
    argv += ["-serial", "stdio", "-device", "virtio-serial"]
    argv += ["-chardev", f"socket,id=output,fd={output_fd}"]
    return [*argv, "-device", f"virtserialport,chardev=output,name={OUTPUT_PORT}"]


def _threads(spec: MachineSpec) -> str:
    return "single" if spec.counted_clock else "multi"


def _folder(tag: str, path: str, *options: str) -> Sequence[str]:
    # security_model=none: files made by the node's root belong to the user that started the emulator.
    backend = ",".join(
        ("local", f"id={tag}", f"path={_escaped(path)}", "security_model=none", "multidevs=remap", *options)
    )
    return "-fsdev", backend, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"


def _escaped(path: str) -> str:
    """Escape a path for an option's value, where a comma must be doubled."""
    return path.replace(",", ",,")
