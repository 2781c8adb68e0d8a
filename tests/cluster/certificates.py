"""The certificate's renewal runs beside the test cluster, and its Secret is mounted as a kubelet does it."""

import base64
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overbook.kube.api.errors import KubeError
from overbook_sandbox.cluster.control_plane import ControlPlane
from tests.cluster.as_user import UserClient

ACCOUNT = "overbook-certificates"
SECRET = "/api/v1/namespaces/overbook/secrets/overbook-webhook-tls"
FILES = ("tls.crt", "tls.key")


class MountedSecret:
    """A folder follows the Secret, through a link to a link; without one of its entries the old files stay.

    Args:
        kubeconfig: of an administrator.
        folder: a new folder for the files.
        every_seconds: how late the files are.
    """

    def __init__(self, kubeconfig: str, folder: Path, *, every_seconds: float = 0.2) -> None:
        self.folder = folder
        self._admin = UserClient(kubeconfig)
        self._every_seconds = every_seconds
        self._number = 0
        self._last: dict[str, str] = {}
        self._stopped = threading.Event()
        folder.mkdir()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopped.wait(self._every_seconds):
            try:
                data = self._admin.ask("GET", SECRET).get("data", {})
            except KubeError:
                continue  # it is deleted: the files stay
            found = {name: data[name] for name in FILES if name in data}
            if len(found) == len(FILES) and found != self._last:
                self._write(found)

    def _write(self, data: dict[str, str]) -> None:
        self._number += 1
        generation = self.folder / f"..{self._number}"
        generation.mkdir()
        for name, encoded in data.items():
            (generation / name).write_bytes(base64.b64decode(encoded))
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        (self.folder / "..new").symlink_to(generation.name)
        os.replace(self.folder / "..new", self.folder / "..data")
        self._last = data


@contextmanager
def renewal(kubeconfig: str, log: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the renewal with a kubeconfig of its account; what it says is in the log."""
    command = [sys.executable, "-m", "overbook", "certificates", "--kubeconfig", kubeconfig, *options]
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own program
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        print(log.read_text())


@contextmanager
def certified(cluster: ControlPlane, folder: Path, *options: str) -> Iterator[Path]:
    """Let the webhook's certificate be made and renewed, and return the folder where it is mounted.

    Args:
        cluster: where the rights and the webhook's configuration are installed.
        folder: for the files and the log.
        options: of ``overbook certificates``.
    """
    # A certificate of another test would be good for a year, and its CA would still be trusted.
    cluster.kubectl("delete", "secret", "overbook-webhook-tls", "-n", "overbook", "--ignore-not-found")
    token = cluster.token("overbook", ACCOUNT)
    mount = MountedSecret(cluster.kubeconfig, folder / "tls")
    try:
        own = cluster.kubeconfig_for(token, name=ACCOUNT)
        with renewal(own, folder / "certificates.log", "--poll-seconds=0.5", *options):
            yield mount.folder
    finally:
        mount.stop()
