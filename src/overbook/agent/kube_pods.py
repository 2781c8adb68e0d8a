"""This node's pods as the API server, or the kubelet in its place, last told them."""

from collections.abc import Mapping

from overbook.agent.bridge import Bridge
from overbook.core.pod import Pod


class KubePods:
    """Pods by the UID of their cgroups. Those last known stay for as long as nobody tells others.

    Args:
        bridge: where the API's thread leaves them.
    """

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self.pods: Mapping[str, Pod] = {}
        self.namespaces: Mapping[str, Mapping[str, str]] = bridge.news.namespaces

    def refresh(self) -> bool:
        """Take over what is new."""
        news = self._bridge.news
        pods = news.pods if news.pods is not None else self.pods
        if pods is self.pods and news.namespaces is self.namespaces:
            return False
        self.pods, self.namespaces = pods, news.namespaces
        return True
