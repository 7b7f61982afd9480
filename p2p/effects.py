"""What the gossip core asks its caller to do."""

from __future__ import annotations

from dataclasses import dataclass

from p2p.identity import PeerId


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to everyone."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """Ask a peer: `Gossip.on_response` takes its answer, or `Gossip.on_request_failed` the failure; either once."""

    peer: PeerId
    data: bytes


@dataclass(frozen=True, slots=True)
class Changed:
    """The records of these authors changed or went away."""

    authors: frozenset[PeerId]


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Hang up on a peer that is shut out."""

    peer: PeerId


Effect = Broadcast | Request | Changed | Disconnect
