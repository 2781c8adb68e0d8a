"""The kubelet that runs on this node: its process, its distribution, and the configuration in force there."""

from overbook.core.kubernetes.kubelet_flags import parse_flags
from overbook.node.kubelet.process import (
    LOOKED_FOR,
    CommandLines,
    Process,
    cgroup_of,
    command_lines,
    find_process,
    kubelet_unit,
    limits_swap,
    started,
    unit_of,
)
from overbook.node.kubelet.running import Kubelet, described, running_kubelet

__all__ = [
    "LOOKED_FOR",
    "CommandLines",
    "Kubelet",
    "Process",
    "cgroup_of",
    "command_lines",
    "described",
    "find_process",
    "kubelet_unit",
    "limits_swap",
    "parse_flags",
    "running_kubelet",
    "started",
    "unit_of",
]
