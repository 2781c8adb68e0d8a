"""A node for the doctor: its disk, a stand-in for the kubelet, and the fixes as a person types them."""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from overbook.core.overcommit.allowance import Eligibility, SwapPolicy
from overbook.node.doctor.diagnosis import diagnose
from overbook.node.doctor.look import host_facts
from tests.emulated.modules import load_modules

NEWER = pytest.mark.node(memory="768Mi", swap="2Gi", kernel="newer", boot="zswap.enabled=1 hugepages=64")
"""A node whose kernel has what came to zswap after Debian's stable one; its tests are run in one boot."""
MIB = 1 << 20
DISK = pathlib.Path("/var/lib/overbook")
KUBELET = pathlib.Path("/etc/kubernetes/kubelet.yaml")
SYSTEM = pathlib.Path("/sys/fs/cgroup/system.slice")
LEFTOVERS = (
    pathlib.Path("/opt/oci-hook-swap.sh"),
    pathlib.Path("/run/containers/oci/hooks.d/swap-for-burstable.json"),
)
PERCENT = 112


def run(*argv: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=check)  # noqa: S603 - the tests' own argv


def overbook(*words: str) -> "subprocess.CompletedProcess[str]":
    return run(sys.executable, "-m", "overbook", *words, check=False)


def type_in(fix: str) -> None:
    """Run the doctor's fix as it is printed."""
    run("/bin/sh", "-ec", fix.replace("overbook node ", f"{shlex.quote(sys.executable)} -m overbook node "))


class Doctor:
    """A doctor looks at this node as the command does, without starting a program each time."""

    def __init__(self) -> None:
        self.broken, self.fixes = False, dict[str, str]()

    def look(self, eligibility: Eligibility = "BurstableVirtualMachines") -> set[str]:
        """The words of what is wrong; of notes only the fixes are kept, since they depend on the machine."""
        diagnosis = diagnose(host_facts("/", SwapPolicy(percent=PERCENT, eligibility=eligibility)))
        self.broken = diagnosis.broken
        self.fixes = {finding.word: finding.fix for finding in diagnosis.findings}
        return {finding.word for finding in diagnosis.findings if finding.severity != "Note"}


class Kubelet:
    """A process is named like a kubelet and has a configuration; the doctor looks at no more of a kubelet."""

    def __init__(self, cgroup: pathlib.Path, *, fail_swap_on: bool, **further: Any) -> None:
        KUBELET.parent.mkdir(parents=True, exist_ok=True)
        fields = {"failSwapOn": fail_swap_on, "evictionHard": {"memory.available": "10Mi"}, **further}
        KUBELET.write_text("\n".join(f"{key}: {json.dumps(value)}" for key, value in fields.items()))
        argv = ["kubelet", "-c", "while :; do sleep 3600; done", "sh", f"--config={KUBELET}"]
        self._process = subprocess.Popen(argv, executable="/bin/sh", start_new_session=True)  # noqa: S603 - a stand-in
        cgroup.mkdir(exist_ok=True)
        (cgroup / "cgroup.procs").write_text(str(self._process.pid))

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def machine(folder: pathlib.Path) -> Iterator[None]:
    """Give the machine a disk for swap files, and a slice for the system; then its swap again.

    Args:
        folder: where a module may lie for a moment.
    """
    load_modules(folder)
    run("swapoff", "-a")
    pathlib.Path("/etc/fstab").write_text("")  # the machine's own
    run("mkfs.ext4", "-q", "-F", "/dev/vda")
    DISK.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "ext4", "/dev/vda", str(DISK))
    SYSTEM.mkdir(exist_ok=True)
    (SYSTEM / "cgroup.subtree_control").write_text("+memory")
    yield
    overbook("node", "swap", "remove")
    run("umount", str(DISK))
    run("mkswap", "/dev/vda")
    run("swapon", "/dev/vda")
