"""Which key speaks for which peer now: hand-overs followed from an old key to the latest one."""

from __future__ import annotations

from p2p import PeerId

_MAX_STEPS = 32  # more rotations than a device sees; a longer chain is cut


class Successions:
    """Hand-overs, by old key. A chain that leads back to itself ends where it would begin again."""

    def __init__(self) -> None:
        self._next: dict[PeerId, PeerId] = {}
        self._before: dict[PeerId, set[PeerId]] = {}

    def __bool__(self) -> bool:
        """Whether anybody handed over."""
        return bool(self._next)

    def successor(self, peer: PeerId) -> PeerId | None:
        """Return whom a peer handed over to."""
        return self._next.get(peer)

    def set(self, peer: PeerId, successor: PeerId | None) -> frozenset[PeerId]:
        """Say whom a peer handed over to, None for nobody; return the keys whose latest key this may change."""
        before = self._next.pop(peer, None)
        if before is not None:
            self._before[before].discard(peer)
            if not self._before[before]:
                del self._before[before]
        if successor is not None:
            self._next[peer] = successor
            self._before.setdefault(successor, set()).add(peer)
        return self.earlier(peer) | {peer}

    def chain(self, peer: PeerId) -> tuple[PeerId, ...]:
        """Return a peer's key and those that came after it, each once."""
        keys = [peer]
        while (following := self._next.get(keys[-1])) is not None and following not in keys and len(keys) <= _MAX_STEPS:
            keys.append(following)
        return tuple(keys)

    def latest(self, peer: PeerId) -> PeerId:
        """Return the key that speaks for a peer now."""
        return self.chain(peer)[-1] if peer in self._next else peer

    def earlier(self, peer: PeerId) -> frozenset[PeerId]:
        """Return the keys that were handed over to a peer, directly or not."""
        found: set[PeerId] = set()
        edge = {peer}
        for _ in range(_MAX_STEPS):
            edge = {old for key in edge for old in self._before.get(key, ())} - found - {peer}
            found |= edge
        return frozenset(found)
