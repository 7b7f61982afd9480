"""What a peer has done wrong lately, and for how long it is shut out.

Faults fade with time. A peer whose faults reach the limit is shut out, at first for a minute and twice as long each
time after. Only what the sender itself must answer for counts: that an author equivocates or publishes too often is not
the fault of who passes it on. Memory is bounded; the peer heard of longest ago is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from p2p.errors import Rejected
from p2p.identity import PeerId

FAULTS = {
    Rejected.TOO_LARGE: 10.0,
    Rejected.MALFORMED: 10.0,
    Rejected.NOT_CANONICAL: 10.0,
    Rejected.BAD_SIGNATURE: 20.0,
    Rejected.UNASKED: 10.0,
    Rejected.BROKEN_PROMISE: 1.0,
    Rejected.FUTURE: 2.0,
    Rejected.QUOTA: 0.5,
}
"""How much each refusal counts; those that are not here count nothing."""

_MAX_PEERS = 4096


@dataclass(frozen=True, slots=True)
class StandingConfig:
    """When a peer is shut out.

    Attributes:
        limit: faults that shut a peer out.
        half_life_s: time in which faults fade to one half.
        shut_out_s: for how long the first time; twice as long each time after.
        longest_s: for how long at most.
    """

    limit: float = 100.0
    half_life_s: float = 600.0
    shut_out_s: float = 60.0
    longest_s: float = 86_400.0


@dataclass(slots=True)
class _Standing:
    faults: float = 0.0
    at: float = 0.0
    times: int = 0
    until: float = 0.0
    since: float = 0.0


class Standings:
    """Faults of peers; the clock is passed in."""

    def __init__(self, config: StandingConfig) -> None:
        self._config = config
        self._peers: OrderedDict[PeerId, _Standing] = OrderedDict()
        self._shut_until = 0.0  # nobody is shut out after that

    def blame(self, peer: PeerId, reason: Rejected, now: float) -> bool:
        """Count a fault; return whether it shuts the peer out from now on."""
        weight = FAULTS.get(reason, 0.0)
        if not weight:
            return False
        standing = self._peers.setdefault(peer, _Standing(at=now))
        self._peers.move_to_end(peer)
        if len(self._peers) > _MAX_PEERS:
            self._peers.popitem(last=False)
        standing.faults = self._faded(standing, now) + weight
        standing.at = now
        if standing.faults < self._config.limit:
            return False
        length = min(self._config.longest_s, self._config.shut_out_s * 2.0**standing.times)
        standing.faults, standing.times = 0.0, min(standing.times + 1, 32)
        standing.since, standing.until = now, now + length
        self._shut_until = max(self._shut_until, standing.until)
        return True

    def is_shut_out(self, peer: PeerId, now: float) -> bool:
        """Return whether a peer is shut out now."""
        standing = self._peers.get(peer)
        # A clock that was set back must not shut anybody out for longer.
        return standing is not None and standing.since <= now < standing.until

    def faults(self, peer: PeerId, now: float) -> float:
        """Return a peer's faults, faded to this moment."""
        standing = self._peers.get(peer)
        return 0.0 if standing is None else self._faded(standing, now)

    def shut_out(self, now: float) -> tuple[PeerId, ...]:
        """Return the peers that are shut out now."""
        if now >= self._shut_until:
            return ()
        return tuple(peer for peer in self._peers if self.is_shut_out(peer, now))

    def _faded(self, standing: _Standing, now: float) -> float:
        elapsed = max(0.0, now - standing.at)
        return float(standing.faults * 0.5 ** (elapsed / self._config.half_life_s))
