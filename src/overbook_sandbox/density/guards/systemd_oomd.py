"""The guard systemd-oomd, which systemd starts and tells to watch all pods."""

import os
from typing import Final

from overbook_sandbox.density.guards.debian import OOM_SCORE_ADJ, DebianGuard
from overbook_sandbox.density.guards.kill_reader import OomdReader
from overbook_sandbox.node.node_programs import node_program

# Slices take no Delegate=, and need none: systemd writes cgroup.subtree_control only when it starts a unit
# below the slice, and there is none. So pods' cgroups made with mkdir are left alone, and the guard, which
# walks the cgroup tree itself, sees them as it would see a kubelet's.
_KUBEPODS: Final = """[Slice]
CPUAccounting=yes
MemoryAccounting=yes
ManagedOOMSwap=kill
ManagedOOMMemoryPressure=kill
"""
# As Debian's units, but as root and without a sandbox: the user systemd-oom could not read the cache folder.
_SOCKET: Final = """[Unit]
DefaultDependencies=no

[Socket]
ListenStream=/run/systemd/oom/io.system.ManagedOOM
SocketMode=0666
"""
_SERVICE: Final = f"""[Unit]
DefaultDependencies=no
Requires=systemd-oomd.socket
After=systemd-oomd.socket

[Service]
Environment="LD_LIBRARY_PATH=%(libraries)s" SYSTEMD_LOG_TARGET=console
ExecStart=%(tree)s/lib/systemd/systemd-oomd
StandardOutput=append:{DebianGuard.log}
StandardError=append:{DebianGuard.log}
MemoryMin=64M
MemoryLow=64M
OOMScoreAdjust={OOM_SCORE_ADJ}
Restart=on-failure
Type=notify
"""


class SystemdOomd(DebianGuard):
    """The guard systemd-oomd: it ends the pod with the most swap above 90 % of RAM and of swap.

    It also ends the pod with the most reclaim after 30 s of pressure above 60 %.
    """

    name = "systemd-oomd"
    title = "systemd-oomd 252"
    cgroup = "system.slice/systemd-oomd.service"
    package = "systemd-oomd"
    reader = OomdReader

    def wait(self) -> None:
        """Return at once: systemd has started the guard before this program."""

    def _start(self) -> None:
        pass

    @classmethod
    def units(cls) -> dict[str, str]:
        """The units with which systemd starts the guard and lets it watch all pods.

        Raises:
            SandboxUnavailableError: The program has not been fetched.
        """
        tree = node_program(cls.package).tree
        folders = (f"{tree}/usr/lib/x86_64-linux-gnu/systemd", f"{tree}/usr/lib/x86_64-linux-gnu")
        libraries = ":".join(filter(os.path.isdir, folders))
        service = _SERVICE % {"libraries": libraries, "tree": tree}
        return {
            "kubepods.slice": _KUBEPODS,
            "systemd-oomd.socket": _SOCKET,
            "systemd-oomd.service": service,
        }
