"""Debian packages that are downloaded through apt and unpacked, but never installed."""

import glob
import os
from typing import Final

from overbook_sandbox.machine.cache import write_whole
from overbook_sandbox.machine.errors import SandboxUnavailableError
from overbook_sandbox.machine.packages import Host

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""The keys of Debian's suites, also of future ones, from the package debian-archive-keyring."""

_MIRROR = "http://deb.debian.org/debian/"
_COMMANDS = ("apt-get", "apt-cache", "dpkg-deb")


class Suite:
    """A suite other than this host's, used with a separate apt configuration, so the host's is not changed.

    Args:
        host: Runs apt.
        name: The suite's code name.
        folder: The folder for the suite's lists.
        keyring: The keys with which the suite must be signed.
    """

    def __init__(self, host: Host, name: str, folder: str, keyring: str = KEYRING) -> None:
        self._host = host
        self._name = name
        self._folder = folder
        self._keyring = keyring
        self.options = ("-c", os.path.join(folder, "apt.conf"))

    def refresh(self) -> None:
        """Fetch the suite's lists and check their signature.

        Raises:
            SandboxUnavailableError: The lists cannot be fetched or checked.
        """
        if not os.path.exists(self._keyring):
            raise SandboxUnavailableError(
                f"{self._keyring} does not exist, so nothing from Debian can be checked; "
                "`sudo apt-get install debian-archive-keyring` provides it"
            )
        for part in ("state/lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(self._folder, part), exist_ok=True)
        source = f"deb [signed-by={self._keyring}] {self._mirror()} {self._name} main\n"
        write_whole(os.path.join(self._folder, "sources.list"), source.encode())
        write_whole(self.options[1], self._configuration().encode())
        done = self._host.run(("apt-get", *self.options, "update", "-qq"), None)
        if done.returncode:
            raise SandboxUnavailableError(
                f"cannot fetch the lists of Debian {self._name}:\n{done.stdout.strip()}"
            )

    def _mirror(self) -> str:
        """This host's mirror of Debian, or Debian's own."""
        listed = self._host.run(("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"), None)
        for line in listed.stdout.splitlines() if listed.returncode == 0 else ():
            label, _, uri = line.partition(" ")
            if label == "Debian":
                return uri
        return _MIRROR

    def _configuration(self) -> str:
        lines = [
            f'Dir::State "{self._folder}/state";',
            f'Dir::Cache "{self._folder}/cache";',
            f'Dir::Etc::SourceList "{self._folder}/sources.list";',
            'Dir::Etc::SourceParts "/dev/null";',
            'Acquire::Languages "none";',
            'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";',
            "#clear APT::Update::Post-Invoke;",  # the host's actions after an update are not wanted here
            "#clear APT::Update::Post-Invoke-Success;",
        ]
        if os.geteuid() == 0:
            lines.append('APT::Sandbox::User "root";')
        return "\n".join([*lines, ""])


def require_apt(host: Host, otherwise: str) -> None:
    """Check that this host has apt.

    Args:
        host: Finds programs.
        otherwise: An alternative, for the message.

    Raises:
        SandboxUnavailableError: This host has no apt.
    """
    for command in _COMMANDS:
        if not host.which(command):
            raise SandboxUnavailableError(f"there is no {command} to get packages with; {otherwise}")


def fetch(host: Host, package: str, folder: str, *, suite: Suite | None = None) -> str:
    """Download a package and unpack it.

    Args:
        host: Runs apt.
        package: The package's name.
        folder: An existing folder; only the unpacked files stay in it.
        suite: The suite; None: the host's own.

    Returns:
        The folder with the package's files, inside `folder`.

    Raises:
        SandboxUnavailableError: The package cannot be downloaded or unpacked.
    """
    own: tuple[str, ...] = ("-o", "APT::Sandbox::User=root") if os.geteuid() == 0 else ()
    options = own if suite is None else suite.options
    done = host.run(("apt-get", "download", "-qq", *options, package), folder)
    found = glob.glob(os.path.join(glob.escape(folder), "*.deb"))
    if done.returncode or not found:
        raise SandboxUnavailableError(f"cannot download {package}:\n{done.stdout.strip()}")
    unpacked = os.path.join(folder, "unpacked")
    done = host.run(("dpkg-deb", "-x", found[0], unpacked), None)
    if done.returncode:
        raise SandboxUnavailableError(f"cannot unpack {found[0]}:\n{done.stdout.strip()}")
    os.unlink(found[0])
    return unpacked
