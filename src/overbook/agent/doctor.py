"""The doctor on its rounds: looks at the node once a minute, in a thread of its own.

The tick never waits for it: to read the command line of a process that stalls is to stall with it.
"""

import logging
from typing import Final

from overbook.agent.small_thread import SmallThread
from overbook.core.kubernetes.kubelet import KubeletConfiguration
from overbook.core.overcommit.allowance import SwapPolicy
from overbook.node.doctor.check import HostFinding

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0


class Doctor:
    """What is wrong on this node, as far as it is known.

    Args:
        root: the host's file system, or as much of it as is mounted.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._next_look = float("-inf")
        self._thread: SmallThread | None = None
        self._found: tuple[HostFinding, ...] = ()

    def findings(
        self, now: float, policy: SwapPolicy, told: KubeletConfiguration | None
    ) -> tuple[HostFinding, ...]:
        """Those of the last look; where that is long ago, another one begins.

        Args:
            now: monotonic seconds.
            policy: who may swap, how much, and the percentage.
            told: what the kubelet says of its configuration; ``None``: not known.
        """
        if now >= self._next_look and (self._thread is None or not self._thread.is_alive()):
            self._next_look = now + LOOK_SECONDS
            self._thread = SmallThread(
                target=self._look, args=(policy, told), name="overbook-doctor", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError as error:
                log.warning("nobody looks at the node: %s", error)
        return self._found

    def _look(self, policy: SwapPolicy, told: KubeletConfiguration | None) -> None:
        # Only an agent that reports needs them.
        from overbook.node.doctor.diagnosis import diagnose  # noqa: PLC0415 - loaded only where it is needed
        from overbook.node.doctor.look import host_facts  # noqa: PLC0415 - loaded only where it is needed

        found = diagnose(host_facts(self._root, policy, reported=told)).findings
        for finding in found:
            if finding not in self._found:
                log.log(_level(finding), "%s: %s; fix: %s", finding.word, finding.sentence, finding.fix)
        self._found = found


def _level(finding: HostFinding) -> int:
    if finding.word == "NotLooked":
        return logging.DEBUG  # a pod sees only a part of its host: nothing to fix
    return logging.INFO if finding.severity == "Note" else logging.WARNING
