"""A program for the node: it starts kubelets without a cluster, and prints what each of them reports.

Its argument is a JSON file with the containerd's command line and socket, and for each kubelet its name, its
command line, its port, and the cgroup below which it has its pods. They have a containerd of their own: a
kubelet stops all pods of its runtime that it does not know.
"""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request

AT_ONCE = 2
SECONDS = 70.0
CONTAINERD_SECONDS = 30.0
EMPTY_SECONDS = 30.0
LOG_BYTES = 4000
MOUNT = "/sys/fs/cgroup"


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    with open(plan["log"], "wb") as log:
        containerd = subprocess.Popen(plan["containerd"], stdout=log, stderr=log)  # noqa: S603 - the test's
    try:
        wait_for(plan["socket"], plan["log"])
        kubelets = plan["kubelets"]
        for first in range(0, len(kubelets), AT_ONCE):
            several = [Started(**each) for each in kubelets[first : first + AT_ONCE]]
            for one in several:
                print(json.dumps({"name": one.name, **one.outcome()}), flush=True)
    finally:
        containerd.kill()


def wait_for(path: str, log: str) -> None:
    """Wait until containerd listens."""
    until = time.monotonic() + CONTAINERD_SECONDS
    with socket.socket(socket.AF_UNIX) as probe:
        while probe.connect_ex(path):
            if time.monotonic() > until:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise TimeoutError(file.read()[-LOG_BYTES:])
            time.sleep(0.1)


class Started:
    """A kubelet is a process with its log."""

    def __init__(self, name: str, argv: list[str], port: int, cgroup: str, log: str) -> None:
        self.name, self._port, self._log = name, port, log
        own = f"{MOUNT}/system.slice/{cgroup}.service"
        self._cgroups = (f"{MOUNT}/{cgroup}", own)
        for each in self._cgroups:
            os.makedirs(each, exist_ok=True)
        with open(log, "wb") as file:
            self._process = subprocess.Popen(argv, stdout=file, stderr=file)  # noqa: S603 - the test's
        with contextlib.suppress(OSError), open(f"{own}/cgroup.procs", "w") as procs:
            procs.write(str(self._process.pid))  # it may have ended

    def outcome(self) -> dict[str, object]:
        """What the kubelet reports, or the end of its log."""
        until = time.monotonic() + SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError):
                address = f"https://127.0.0.1:{self._port}/configz"
                trusting = ssl._create_unverified_context()  # noqa: S323 - its own certificate
                with urllib.request.urlopen(address, context=trusting) as answer:
                    reported = json.load(answer)["kubeletconfig"]
                self._end()
                return {"reported": reported}
            time.sleep(0.2)
        self._end()
        with open(self._log, encoding="utf-8", errors="replace") as file:
            return {"log": file.read()[-LOG_BYTES:]}

    def _end(self) -> None:
        """End the kubelet; its cgroups go too, or the node's agent finds those of several kubelets."""
        self._process.kill()
        self._process.wait()
        for cgroup in self._cgroups:
            for folder, _, _ in os.walk(cgroup, topdown=False):
                remove(folder)


def remove(cgroup: str) -> None:
    """Remove a cgroup without children; what was in it may take a moment to end."""
    until = time.monotonic() + EMPTY_SECONDS
    while os.path.isdir(cgroup):
        try:
            os.rmdir(cgroup)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


if __name__ == "__main__":
    main()
