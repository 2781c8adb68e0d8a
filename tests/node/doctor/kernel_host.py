"""A node of files with a pod, for the checks of kernel, cgroups, zswap and other killers."""

import os
import pathlib
import shlex
import subprocess

from overbook.core.overcommit.allowance import SwapPolicy
from overbook.node.doctor.check import HostFinding
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.look import host_facts
from overbook_sandbox.fakes.kernel_files import build_tree, container_files, make_cgroup, make_node

GIB = 1 << 30
UID = "7e81fefd-5daa-5bcd-befd-e19e15d90282"
BURSTABLE = "kubepods.slice/kubepods-burstable.slice"
POD = f"{BURSTABLE}/kubepods-burstable-pod{UID.replace('-', '_')}.slice"
CONTAINER = f"{POD}/cri-containerd-{'ab' * 32}.scope"


class KernelHost:
    """A healthy node of 16Gi with 8Gi of swap and one pod.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        make_node(root, swap_total_bytes=8 * GIB)
        build_tree(root, {"etc": {"fstab": ""}, "run": {}, "opt": {}, "usr": {}, "proc/1/net/unix": "Num\n"})
        make_cgroup(root, "system.slice", container_files(memory_swap_max=0))
        for path in ("kubepods.slice", BURSTABLE, POD):
            make_cgroup(root, path, container_files(memory_swap_max=None))
        make_cgroup(root, CONTAINER, container_files(memory_swap_max=GIB, pids=[41]))

    def write(self, path: str, text: str = "") -> None:
        """Write a file."""
        build_tree(self.root, {path: text})

    def cgroup(self, path: str, **files: str) -> None:
        """Write files of a cgroup; two underscores stand for a dot."""
        for name, text in files.items():
            self.write(f"sys/fs/cgroup/{path}/{name.replace('__', '.')}", text)

    def process(self, pid: int, *words: str, cgroup: str = "/") -> None:
        """Start a process of files."""
        line = "".join(f"{word}\0" for word in words)
        build_tree(self.root / "proc" / str(pid), {"cmdline": line, "cgroup": f"0::{cgroup}\n"})

    def device(self, name: str, number: str) -> None:
        """Make a block device."""
        disk = self.root / "sys/devices/virtual/block" / name
        build_tree(disk, {"queue/rotational": "0\n"})
        links = self.root / "sys/dev/block"
        links.mkdir(parents=True, exist_ok=True)
        (links / number).symlink_to(os.path.relpath(disk, links))

    def opened(self, pid: int, path: str) -> None:
        """Have a process keep a file open."""
        folder = self.root / "proc" / str(pid) / "fd"
        folder.mkdir(exist_ok=True)
        (folder / "3").symlink_to(path)

    def findings(self, percent: int = 150) -> list[HostFinding]:
        """What the doctor finds, without what is not about these checks."""
        found = diagnose(host_facts(str(self.root), SwapPolicy(percent=percent))).findings
        return [each for each in found if each.word not in {"NotLooked", "NoKubelet"}]

    def words(self) -> list[str]:
        """The findings' words."""
        return [finding.word for finding in self.findings()]

    def fine(self) -> dict[str, str]:
        """What is right, by subject."""
        diagnosis = diagnose(host_facts(str(self.root), SwapPolicy(percent=150)))
        return {each.subject: each.sentence for each in diagnosis.fine}

    def type(self, fix: str) -> None:
        """Run a fix as it is shown, with this root for the host's, and without systemd."""
        here = fix.replace(" /sys/", f" {self.root}/sys/").replace(" /etc/", f" {self.root}/etc/")
        stubs = self.root / "stubs"
        stubs.mkdir(exist_ok=True)
        (stubs / "systemctl").write_text("#!/bin/sh\n")
        (stubs / "systemctl").chmod(0o755)
        shell = f"PATH={shlex.quote(str(stubs))}:$PATH; {here}"
        subprocess.run(["/bin/sh", "-ec", shell], check=True, env=dict(os.environ))
