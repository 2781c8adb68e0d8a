"""An agent without a cluster: its settings are its orders, and nobody waits for its reports."""

from typing import Final

from overbook.agent.orders import Orders, Posture
from overbook.agent.relief.local import Relief
from overbook.agent.settings import AgentSettings
from overbook.agent.tick import AgentTick

NO_DESCRIPTOR: Final = -1


class NoCluster:
    """Stands where a :class:`~overbook.agent.cluster.Cluster` would.

    Args:
        settings: everything that can be set.
        relief: how a pod leaves this node.
    """

    instance = ""
    """Nobody has to tell this agent from another."""
    pods_known = True
    """What lies in the directory of manifests is all that there is."""
    attended = True
    """There is no thread that could be missing."""

    def __init__(self, settings: AgentSettings, relief: Relief) -> None:
        enforcing = settings.mode == "Enforce"
        self.relief = relief
        self._orders = Orders(
            posture=Posture(
                enforcing=enforcing,
                mode=settings.mode,
                paused=False,
                percent=settings.swap.percent,
                why="" if enforcing else "observing: nothing is done",
            )
        )

    def fileno(self) -> int:
        """There is never news."""
        return NO_DESCRIPTOR

    def clear(self) -> None:
        """There was none."""

    def orders(self) -> Orders:
        """Those of the settings."""
        return self._orders

    def report(self, tick: AgentTick) -> None:
        """Nobody reads it."""

    def publish(self, tick: AgentTick) -> None:
        """Nobody reads it."""

    def stop(self) -> None:
        """Nothing is to be taken back."""

    def values(self) -> dict[str, float]:
        """There is nothing to count."""
        return {}
