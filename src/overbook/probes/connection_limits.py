"""Which connection is closed for a new one when a port has as many as it may have.

A new connection is never refused: whoever fills all places, the kubelet, Prometheus and the API server still
find one. Strangers are held in check by their addresses: the one with the most connections loses one first.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class ConnectionLimits(Generic[Key]):
    """The open connections of a port, counted by the address of their peer.

    Args:
        most: the most connections.
        most_each: the most connections of one address.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._peers: dict[str, dict[Key, tuple[bool, int]]] = {}
        """For each address its connections, the longest idle first: whether it was ever answered, and the
        step at which it was answered or opened last."""
        self._peer_of: dict[Key, str] = {}
        self._steps = 0

    def __len__(self) -> int:
        """The number of open connections."""
        return len(self._peer_of)

    def add(self, key: Key, peer: str) -> Key | None:
        """Count a new connection.

        Args:
            key: the connection.
            peer: the address of its other end.

        Returns:
            The connection that the caller has to close at once, and that is no longer counted: of the same
            address if that has as many as it may have, else of the address with the most; there one that was
            never answered, else the longest idle. ``None``: there is room.
        """
        own = self._peers.get(peer, {})
        loser = None
        if len(own) >= self._most_each:
            loser = self._first(own)
        elif len(self._peer_of) >= self._most:
            loser = self._of_the_largest()
        if loser is not None:
            self.remove(loser)
        self._peer_of[key] = peer
        self._steps += 1
        self._peers.setdefault(peer, {})[key] = (False, self._steps)
        return loser

    def answered(self, key: Key) -> None:
        """Count a connection as active now, and as one that was answered."""
        peer = self._peer_of.get(key)
        if peer is not None:
            own = self._peers[peer]
            del own[key]
            self._steps += 1
            own[key] = (True, self._steps)

    def remove(self, key: Key) -> None:
        """Forget a connection, also one that is not counted any more."""
        peer = self._peer_of.pop(key, None)
        if peer is not None:
            own = self._peers[peer]
            del own[key]
            if not own:
                del self._peers[peer]

    @staticmethod
    def _first(own: dict[Key, tuple[bool, int]]) -> Key:
        return next((key for key, (answered, _) in own.items() if not answered), next(iter(own)))

    def _of_the_largest(self) -> Key:
        largest = max(map(len, self._peers.values()))
        losers = [self._first(own) for own in self._peers.values() if len(own) == largest]
        return min(losers, key=lambda key: self._peers[self._peer_of[key]][key])
