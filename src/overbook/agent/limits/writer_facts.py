"""The search for what decides the writer of swap limits on this node: kubelet, NRI socket and hook."""

import logging
import os
from functools import partial
from typing import Final

from overbook.core.errors import InvalidInput
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.writer import HOOK_FILE, AskedWriter, WriterInputs
from overbook.core.say_once import SayOnce
from overbook.node import kubelet
from overbook.node.hook_folders import ADMINISTRATORS, hook_folders
from overbook.nri.connection import nri_socket

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""A kubelet's configuration changes only when it restarts, and a new hook can wait a minute."""
SOCKET_SECONDS: Final = 5.0
GONE_SECONDS: Final = 60.0
"""A restarting runtime has no socket for a while. After this time NRI counts as switched off."""
MOST_COMPLAINTS: Final = 64


class WriterInputsReader:
    """Finds the inputs for the choice of the writer, and looks again only now and then.

    Args:
        root: the host's file system, or the part of it that is mounted.
        asked: the writer in the agent's settings.
    """

    def __init__(self, root: str, asked: AskedWriter) -> None:
        self._root = root
        self._asked = asked
        self._process: kubelet.Process | None = None
        self._configuration: KubeletConfiguration | None = None
        self.kubelet: KubeletConfiguration | None = None
        """The configuration that the kubelet last reported, or that its files hold; ``None``: not known."""
        self._limits: bool | None = None
        self._hook_folder = ""
        self._socket = ""
        self._socket_seen = 0.0
        self._next_look = self._next_socket = float("-inf")
        self._say = SayOnce(partial(log.info, "%s"), most=MOST_COMPLAINTS)

    def look(self, now: float, reported: KubeletConfiguration | None) -> WriterInputs:
        """The inputs as they are now.

        Args:
            now: monotonic seconds.
            reported: the configuration that the kubelet reports, which wins over its files; ``None``: the
                kubelet was not asked, or did not answer.
        """
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._look_at_kubelet()
            self._hook_folder = self._find_hook()
        if now >= self._next_socket:
            self._next_socket = now + SOCKET_SECONDS
            found = nri_socket(self._root)
            if found:
                self._socket_seen = now
            if found or now - self._socket_seen >= GONE_SECONDS:
                self._socket = found
        configuration = self.kubelet = reported or self._configuration
        return WriterInputs(
            kubelet=None if configuration is None else configuration.swap,
            kubelet_limits=self._limits,
            nri_socket=self._socket,
            hook_folder=self._hook_folder,
        )

    def _look_at_kubelet(self) -> None:
        """Read the kubelet's files if it was started since. While it restarts, what was read last counts."""
        known = self._process
        try:
            if known is not None and kubelet.started(known.pid, self._root) == known.started != "":
                return
            process = kubelet.find_process(self._root)
            if process is None:
                return
            self._limits = kubelet.limits_swap(process.pid, self._root)
            # A pod sees the kubelet's command line, but not the files that this names.
            found = kubelet.described(process, self._root, whole=False)
        except (InvalidInput, OSError) as error:
            self._complain(f"the kubelet's configuration cannot be read from its files: {error}")
            return
        self._process, self._configuration = process, found.configuration
        log.info(
            "kubelet %d: swap %s, from %s",
            found.pid,
            found.configuration.swap,
            " ".join(found.files) or "flags",
        )

    def _find_hook(self) -> str:
        """The folder with Overbook's hook that the runtime reads; empty: there is none."""
        if self._asked == "hook" and not os.path.isdir(os.path.join(self._root, "etc")):
            return ADMINISTRATORS  # a pod does not see the host's /etc: the setting is trusted
        try:
            folders = hook_folders(self._root)
        except (InvalidInput, OSError) as error:
            self._complain(f"the folders in which the runtime looks for hooks are not known: {error}")
            return self._hook_folder
        paths = (os.path.join(self._root, folder.lstrip("/"), HOOK_FILE) for folder in folders)
        return next((folder for folder, path in zip(folders, paths, strict=True) if os.path.exists(path)), "")

    def _complain(self, complaint: str) -> None:
        """Log a complaint once."""
        self._say(complaint, about=complaint)
