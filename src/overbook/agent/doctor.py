"""The doctor's checks of the node once a minute, in a thread of their own.

The tick never waits for them: reading the command line of a process that stalls would stall the agent, too.
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
    """Runs the doctor's checks, and keeps their findings.

    Args:
        root: the host's file system, or the part of it that is mounted.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._next_look = float("-inf")
        self._thread: SmallThread | None = None
        self._found: tuple[HostFinding, ...] = ()

    def findings(
        self,
        now: float,
        policy: SwapPolicy,
        reported: KubeletConfiguration | None,
        minor: int | None = None,
    ) -> tuple[HostFinding, ...]:
        """Return the findings of the last look. If that was a minute ago, start another one.

        Args:
            now: monotonic seconds.
            policy: which pods may swap, how much, and the percentage.
            reported: the configuration that the kubelet reports; ``None``: not known.
            minor: the minor version of the kubelet 1.x, as its Node says; ``None``: not known.
        """
        if now >= self._next_look and (self._thread is None or not self._thread.is_alive()):
            self._next_look = now + LOOK_SECONDS
            self._thread = SmallThread(
                target=self._look, args=(policy, reported, minor), name="overbook-doctor", daemon=True
            )
            try:
                self._thread.start()
            except RuntimeError as error:
                log.warning("the doctor's checks do not run: %s", error)
        return self._found

    def _look(self, policy: SwapPolicy, reported: KubeletConfiguration | None, minor: int | None) -> None:
        # Only an agent with a cluster needs these modules.
        from overbook.node.doctor.diagnosis import diagnose  # noqa: PLC0415 - loaded only where it is needed
        from overbook.node.doctor.look import host_facts  # noqa: PLC0415 - loaded only where it is needed

        facts = host_facts(self._root, policy, reported=reported, reported_minor=minor, whole=False)
        found = diagnose(facts).findings
        for finding in found:
            if finding not in self._found:
                log.log(_level(finding), "%s: %s; fix: %s", finding.word, finding.sentence, finding.fix)
        self._found = found


def _level(finding: HostFinding) -> int:
    if finding.word == "NotLooked":
        return logging.DEBUG  # a pod sees only a part of its host: nothing to fix
    return logging.INFO if finding.severity == "Note" else logging.WARNING
