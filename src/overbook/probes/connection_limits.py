"""Which connection is closed for a new one when a port has as many as it may have.

A new connection is never refused: whoever fills all places, the kubelet, Prometheus and the API server still
find one. Clients are told apart by their addresses, and by whether a request of theirs was ever answered.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

import msgspec

Key = TypeVar("Key", bound=Hashable)

_NEW_SHARE: Final = 4
"""One in four places is for connections that were not answered yet."""
_SPARED: Final = 16
"""As many new connections of an address with an answered one go only after those of all others."""


class _Peer(msgspec.Struct, Generic[Key]):
    """The connections of one address, with the step at which each was opened or last answered, in order."""

    new: dict[Key, int] = msgspec.field(default_factory=dict)
    answered: dict[Key, int] = msgspec.field(default_factory=dict)

    @property
    def is_spared(self) -> bool:
        return bool(self.answered) and len(self.new) <= _SPARED


class ConnectionLimits(Generic[Key]):
    """The open connections of a port, counted by the address of their peer.

    Args:
        most: the most connections.
        most_each: the most connections of one address.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most = most
        self._most_each = most_each
        self._peers: dict[str, _Peer[Key]] = {}
        self._peer_of: dict[Key, str] = {}
        self._new = 0
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
            The connection that the caller has to close at once, and that is no longer counted; ``None``:
            there is room. It is of the same address if that has as many as it may have. Else it is the oldest
            that was never answered, of the address with the most of them. If there are few of these, it is
            the longest idle one of the address with the most connections.
        """
        own = self._peers.get(peer)
        loser = None
        if own is not None and len(own.new) + len(own.answered) >= self._most_each:
            few = len(own.new) <= self._most_each // _NEW_SHARE
            loser = next(iter(own.answered if few and own.answered else own.new))
        elif len(self._peer_of) >= self._most:
            loser = self._loser()
        if loser is not None:
            self.remove(loser)
        self._steps += 1
        self._new += 1
        self._peer_of[key] = peer
        self._peers.setdefault(peer, _Peer()).new[key] = self._steps
        return loser

    def answered(self, key: Key) -> None:
        """Count a connection as active now, and as one that was answered."""
        name = self._peer_of.get(key)
        if name is None:
            return
        peer = self._peers[name]
        self._take(key, peer)
        self._steps += 1
        peer.answered[key] = self._steps

    def remove(self, key: Key) -> None:
        """Forget a connection, also one that is not counted any more."""
        name = self._peer_of.pop(key, None)
        if name is None:
            return
        peer = self._peers[name]
        self._take(key, peer)
        if not peer.new and not peer.answered:
            del self._peers[name]

    def _take(self, key: Key, peer: _Peer[Key]) -> None:
        """Take a connection out of those of its peer."""
        if peer.new.pop(key, None) is None:
            del peer.answered[key]
        else:
            self._new -= 1

    def _loser(self) -> Key:
        peers = self._peers.values()
        if self._new > self._most // _NEW_SHARE or self._new == len(self._peer_of):
            groups = [peer.new for peer in peers if peer.new and not peer.is_spared]
            groups = groups or [peer.new for peer in peers if peer.new]
        else:
            groups = [peer.answered for peer in peers if peer.answered]
        largest = max(map(len, groups))
        firsts = [next(iter(group.items())) for group in groups if len(group) == largest]
        return min(firsts, key=lambda first: first[1])[0]
