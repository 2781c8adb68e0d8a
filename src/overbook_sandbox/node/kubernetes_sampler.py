"""Samples of a Kubernetes node's kernel: the values of the node and of each container."""

import struct
import time

from overbook.kernel.cgroup import Cgroup
from overbook.kernel.files import KernelFileError
from overbook.kernel.kubepods import ContainerCgroup, PodScanner
from overbook.kernel.meminfo import read_meminfo
from overbook.kernel.psi import read_pressure
from overbook.kernel.vmstat import read_vmstat
from overbook_sandbox.demo.load import COUNTER
from overbook_sandbox.node.kubernetes_messages import PACE_FILE, ContainerReading, NodeReading, Work


class KubernetesSampler:
    """A sampler of the node's values."""

    def __init__(self) -> None:
        self._scanner = PodScanner()

    def sample(self) -> NodeReading:
        """Take a sample; containers that end meanwhile are left out.

        Raises:
            KernelFileError: The node's own files cannot be read.
        """
        pods: dict[str, dict[str, ContainerReading]] = {}
        for pod in self._scanner.scan():
            containers = pods.setdefault(pod.uid, {})
            for container in pod.containers:
                if (found := _container(container)) is not None:
                    containers[container.id] = found
        memory, events, full = read_meminfo(), read_vmstat(), read_pressure("memory").full
        return NodeReading(
            at=time.monotonic(),
            mem_total_bytes=memory.mem_total_bytes,
            mem_available_bytes=memory.mem_available_bytes,
            swap_total_bytes=memory.swap_total_bytes or 0,
            swap_free_bytes=memory.swap_free_bytes or 0,
            swapped_in_pages=events.pswpin or 0,
            swapped_out_pages=events.pswpout or 0,
            full_stall_micros=full.total_micros if full else None,
            pods=pods,
        )


def _container(container: ContainerCgroup) -> ContainerReading | None:
    try:
        with Cgroup(container.path) as cgroup:
            read = cgroup.read_memory()
            return ContainerReading(
                memory_current_bytes=read.current_bytes,
                memory_swap_current_bytes=read.swap_current_bytes,
                swap_cached_bytes=read.use.swapcached_bytes or 0,
                memory_swap_max_bytes=read.swap_max_bytes,
                oom_kills=cgroup.read_memory_events().oom_kill or 0,
                work=_work(cgroup.read_procs()),
            )
    except KernelFileError:
        return None


def _work(processes: tuple[int, ...]) -> Work | None:
    for process in processes:
        try:
            with open(f"/proc/{process}/root{PACE_FILE}", "rb") as file:
                return Work(*COUNTER.unpack(file.read(COUNTER.size)))
        except (OSError, struct.error):  # the process does not count its work (yet), or has ended
            continue
    return None
