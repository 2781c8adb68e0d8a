"""The replacement for the cluster where there is none: orders come from the settings, reports go nowhere."""

from typing import Final

from overbook.agent.orders import OBSERVING, Orders, Posture
from overbook.agent.relief.local import Relief
from overbook.agent.settings import AgentSettings
from overbook.agent.tick import AgentTick

NO_DESCRIPTOR: Final = -1


class NoCluster:
    """Has the methods of :class:`~overbook.agent.cluster.Cluster`, for an agent without a cluster.

    Args:
        settings: the agent's settings.
        relief: how a pod leaves this node.
    """

    instance = ""
    """Empty: there are no other agents."""
    pods_known = True
    """Always: the directory of manifests holds all pods."""
    attended = True
    """Always: there is no thread for the API."""

    def __init__(self, settings: AgentSettings, relief: Relief) -> None:
        enforcing = settings.mode == "Enforce"
        self.relief = relief
        self._orders = Orders(
            posture=Posture(
                enforcing=enforcing,
                mode=settings.mode,
                paused=False,
                percent=settings.swap.percent,
                why="" if enforcing else OBSERVING,
            )
        )

    def fileno(self) -> int:
        """Return :data:`NO_DESCRIPTOR`: there is never news."""
        return NO_DESCRIPTOR

    def clear(self) -> None:
        """Do nothing: there is never news."""

    def orders(self) -> Orders:
        """Return the orders of the settings."""
        return self._orders

    def report(self, tick: AgentTick) -> None:
        """Do nothing."""

    def publish(self, tick: AgentTick) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing: there is no request to withdraw."""

    def values(self) -> dict[str, float]:
        """Return no values."""
        return {}
