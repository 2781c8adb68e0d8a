"""The check of the places where pods are: whether containers are in cgroups below kubepods."""

from collections.abc import Iterator, Mapping
from typing import Final

from overbook.node.doctor.check import Check, HostFinding
from overbook.node.doctor.facts import HostState
from overbook.node.pod_places import PlaceKind

_SHOWN: Final = 2
_FIX: Final[Mapping[PlaceKind, str]] = {
    "CgroupfsRuntime": "give the runtime the kubelet's cgroup driver (containerd: SystemdCgroup = true "
    "in runc's "
    'options; CRI-O: cgroup_manager = "systemd"), restart it, and start the pods again',
    "SystemdRuntime": "give the kubelet the runtime's cgroup driver (cgroupDriver: systemd), restart "
    "it, and start "
    "the pods again",
    "Kata": "set sandbox_cgroup_only = true in Kata's configuration.toml, and start the pods again",
    "Rootless": "run the kubelet as root on a node that overcommits: nothing in user.slice is looked at",
    "Other": "look for the program that started it: systemd-cgls; only pods below kubepods are looked at",
}


def _places(facts: HostState) -> Iterator[HostFinding]:
    places = facts.places or ()
    kinds = dict.fromkeys(place.kind for place in places)
    for kind in kinds:
        paths = [place.path for place in places if place.kind == kind]
        there = ", ".join(paths[:_SHOWN]) + (
            f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
        )
        number = "1 cgroup of a pod is" if len(paths) == 1 else f"{len(paths)} cgroups of pods are"
        yield HostFinding(
            "Broken",
            "PodsMisplaced",
            f"{number} not below kubepods, so nothing there is counted, limited or swapped for a pod: "
            f"{there}",
            _FIX[kind],
        )
    if facts.sandboxes:
        number = "1 pod runs" if facts.sandboxes == 1 else f"{facts.sandboxes} pods run"
        yield HostFinding(
            "Note",
            "SandboxedPods",
            f"{number} in gVisor: all containers of such a pod are in one cgroup, and are counted as one",
            "give such a pod one container, or no swap",
        )


def _places_fine(facts: HostState) -> str:
    return (
        "" if facts.places is None else "no cgroup outside of kubepods has the name of a pod or a container"
    )


CHECK: Final = Check("places", _places, _places_fine)
