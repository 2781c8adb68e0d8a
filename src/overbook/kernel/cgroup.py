"""One cgroup: its files as typed values.

Source of all names and meanings: kernel Documentation/admin-guide/cgroup-v2.rst. Every method raises
`MissingKernelFile` when the cgroup is gone or the kernel has no such file (`exists()` tells which), and
`KernelFileError` for anything else, whatever the file holds.
"""

import errno
import re
import signal

import msgspec

from overbook.kernel.cgroup_directory import CgroupDirectory
from overbook.kernel.cpu_max import (
    CpuMax,
    render_cpu_max,
    render_cpu_weight,
)
from overbook.kernel.files import KernelFileError, MissingKernelFile, shown
from overbook.kernel.flat_keyed import FlatKeyed, parse_limit, parse_value, render_limit
from overbook.kernel.memory_stat import (
    MemoryEvents,
    MemoryUse,
    parse_memory_events,
    parse_memory_use,
)
from overbook.kernel.psi import parse_stall_totals
from overbook.kernel.signals import signal_processes

_PROCS_LIMIT = 4 << 20  # half a million pids
_DEPTH_LIMIT = 16
_READING = ("memory.stat", "memory.current", "memory.swap.current", "memory.swap.max")
_NUMBER = rb"[0-9]{1,20}"
# The usual content of the last three files of `_READING`, joined by NUL bytes.
_VALUES = re.compile(rb"(%(n)s)\n\0(%(n)s)\n\0(max|%(n)s)\n" % {b"n": _NUMBER})
_CGROUP_EVENTS = FlatKeyed((b"populated", b"frozen"))


class MemoryReading(msgspec.Struct, frozen=True, gc=False):
    """The values of a cgroup that are read every second.

    Attributes:
        use: from memory.stat.
        current_bytes: memory.current.
        swap_current_bytes: memory.swap.current.
        swap_max_bytes: memory.swap.max; None is no limit.
    """

    use: MemoryUse
    current_bytes: int
    swap_current_bytes: int
    swap_max_bytes: int | None


def parse_procs(data: bytes, path: str = "cgroup.procs") -> tuple[int, ...]:
    """The pids in cgroup.procs; 0 stands for a process that this pid namespace does not show.

    Raises:
        KernelFileError: A line is not a pid, or the last line is cut off.
    """
    lines = data.split(b"\n")
    if lines.pop() or not all(line.isdigit() and len(line) <= 10 for line in lines):
        raise KernelFileError(path, f"found {shown(data)}, expected one pid a line")
    return tuple(map(int, lines))


def parse_populated(data: bytes, path: str = "cgroup.events") -> bool:
    """Whether cgroup.events reports processes in the cgroup or below.

    Raises:
        KernelFileError: There is no `populated` line.
    """
    populated = _CGROUP_EVENTS.parse(data, path)[0]
    if populated is None:
        raise KernelFileError(path, f"found {shown(data)}, expected a line 'populated 0' or 'populated 1'")
    return populated != 0


class Cgroup(CgroupDirectory):
    """A cgroup held by directory descriptor; see `CgroupDirectory` for arguments and identity."""

    __slots__ = ()

    # Read every second: these files are kept open.

    def read_memory_current(self) -> int:
        """Bytes of memory in use, page cache included, swap excluded."""
        return parse_value(self.read_hot("memory.current"), self._prefix + "memory.current")

    def read_memory_swap_current(self) -> int:
        """Bytes of swap in use."""
        return parse_value(self.read_hot("memory.swap.current"), self._prefix + "memory.swap.current")

    def read_memory_swap_max(self) -> int | None:
        """The swap limit in bytes; None is no limit."""
        return parse_limit(self.read_hot("memory.swap.max"), self._prefix + "memory.swap.max")

    def read_memory_stalls(self) -> tuple[int | None, int | None]:
        """`some` and `full` of memory.pressure: microseconds stalled since the cgroup was made."""
        return parse_stall_totals(self.read_hot("memory.pressure"), self._prefix + "memory.pressure")

    def read_memory(self) -> MemoryReading:
        """The values that are read every second, in a fraction of the time of the single reads."""
        data = self.read_kept(_READING)
        if data is not None:
            values = _VALUES.fullmatch(b"\0".join(data[1:]))
            if values is not None:
                current, swap, swap_max = values.groups()
                return MemoryReading(
                    parse_memory_use(data[0], self._prefix + "memory.stat"),
                    int(current),
                    int(swap),
                    None if swap_max == b"max" else int(swap_max),
                )
        return MemoryReading(
            parse_memory_use(self.read_hot("memory.stat"), self._prefix + "memory.stat"),
            self.read_memory_current(),
            *self._swap(),
        )

    def _swap(self) -> tuple[int, int | None]:
        """Swap in use and its limit; both 0 where the kernel does not count swap per cgroup."""
        try:
            return self.read_memory_swap_current(), self.read_memory_swap_max()
        except MissingKernelFile:
            if not self.exists():
                raise
            return 0, 0

    # Read when something happens.

    def read_memory_max(self) -> int | None:
        """The hard limit of memory in bytes; None is no limit."""
        return parse_limit(self.read("memory.max"), self._prefix + "memory.max")

    def read_memory_high(self) -> int | None:
        """The limit above which the kernel reclaims and slows down, in bytes; None is no limit."""
        return parse_limit(self.read("memory.high"), self._prefix + "memory.high")

    def read_memory_protected(self) -> int | None:
        """The larger one of memory.min and memory.low in bytes; None is all of the cgroup's memory."""
        least = parse_limit(self.read("memory.min"), self._prefix + "memory.min")
        low = parse_limit(self.read("memory.low"), self._prefix + "memory.low")
        return None if least is None or low is None else max(least, low)

    def read_memory_events(self) -> MemoryEvents:
        """How often the cgroup, or one below it, reached its memory limits."""
        return parse_memory_events(self.read("memory.events"), self._prefix + "memory.events")

    def populated(self) -> bool:
        """Whether the cgroup or one below it has a living process."""
        return parse_populated(self.read("cgroup.events"), self._prefix + "cgroup.events")

    def read_procs(self, *, recursive: bool = False) -> tuple[int, ...]:
        """Pids of the cgroup's processes, without those that this pid namespace does not show.

        Args:
            recursive: Include the cgroups below, down to 16 levels.
        """
        return tuple(pid for pid in self._read_pids(recursive=recursive) if pid)

    # Writes. The kernel rounds byte counts down to pages.

    def write_memory_swap_max(self, value: int | None) -> None:
        """Limit swap to `value` bytes; None is no limit. Pages that are already in swap stay there."""
        path = self._prefix + "memory.swap.max"
        self.write("memory.swap.max", render_limit(value, path))

    def write_memory_max(self, value: int | None) -> None:
        """Limit memory to `value` bytes; None is no limit.

        If the limit is below the present use, the kernel reclaims first and then kills.
        """
        self.write("memory.max", render_limit(value, self._prefix + "memory.max"))

    def write_memory_high(self, value: int | None) -> None:
        """Limit memory to `value` bytes without the OOM killer; None is no limit.

        The kernel reclaims what is above before the write returns, as far as that is possible.
        """
        self.write("memory.high", render_limit(value, self._prefix + "memory.high"))

    def write_cpu_weight(self, weight: int) -> None:
        """Set the weight when CPUs are busy, 1-10000."""
        self.write("cpu.weight", render_cpu_weight(weight, self._prefix + "cpu.weight"))

    def write_cpu_max(self, cpu_max: CpuMax) -> None:
        """Set the CFS bandwidth limit."""
        self.write("cpu.max", render_cpu_max(cpu_max, self._prefix + "cpu.max"))

    # Actions.

    def reclaim(self, size_bytes: int) -> bool:
        """Make the kernel reclaim the cgroup's memory, to swap or by dropping page cache. Blocks meanwhile.

        Returns:
            True if everything was reclaimed; False if the kernel gave up earlier (a part may be reclaimed).

        Raises:
            MissingKernelFile: Linux before 5.19, or the cgroup is gone.
        """
        if size_bytes < 0:
            raise KernelFileError(
                self._prefix + "memory.reclaim", f"cannot reclaim {size_bytes} bytes", errno.EINVAL
            )
        try:
            self.write("memory.reclaim", b"%d\n" % size_bytes)
        except KernelFileError as error:
            if error.errno == errno.EAGAIN:
                return False
            raise
        return True

    def kill(self) -> None:
        """SIGKILL every process in the cgroup and below, at once where the kernel can (5.14), or one by one.

        Raises:
            MissingKernelFile: The cgroup is gone.
            KernelFileError: It is the root cgroup, the kernel refused, or some processes are out of reach.
        """
        self._check_not_root()
        try:
            self.write("cgroup.kill", b"1\n")
        except MissingKernelFile:
            if not self.exists():
                raise
            self.signal_all(signal.SIGKILL)

    def signal_all(self, number: int) -> int:
        """Send a signal to every process in the cgroup and below; a recycled pid is never hit.

        Returns:
            The number of processes that were signalled.

        Raises:
            KernelFileError: It is the root cgroup, or some processes cannot be reached (all others were).
        """
        self._check_not_root()
        return signal_processes(
            lambda: self._read_pids(recursive=True), number, self._prefix + "cgroup.procs"
        )

    def _check_not_root(self) -> None:
        if not self.path.strip("/."):
            raise KernelFileError(
                self._prefix, "is the root cgroup: a signal would reach every process of the node"
            )

    def _read_pids(self, *, recursive: bool, depth: int = 0) -> tuple[int, ...]:
        pids = parse_procs(self.read("cgroup.procs", _PROCS_LIMIT), self._prefix + "cgroup.procs")
        if not recursive:
            return pids
        if depth > _DEPTH_LIMIT:
            raise KernelFileError(self._prefix, f"is nested more than {_DEPTH_LIMIT} cgroups deep")
        for name, _ in self.children():
            try:
                with self.child(name) as child:
                    pids += child._read_pids(recursive=True, depth=depth + 1)  # noqa: SLF001 - the same class
            except MissingKernelFile:
                continue  # it vanished, and its processes with it
        return pids
