"""The trust graph around a person, as a page can draw it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from p2p import PeerId, RecordStore, SignedRecord
from sdk.social import SocialView
from sdk.store import BLOCKED, Opinion


@dataclass(frozen=True, slots=True)
class TrustNode:
    """A peer, or the person.

    Attributes:
        peer: public key.
        score: how much the walks trust it, 0 to 1; 1 for the person.
        me: whether it is this device.
        direct: whether the person vouches for it.
        blocked: whether the person cut it off.
        items: how many items its latest record lists.
    """

    peer: PeerId
    score: float
    me: bool
    direct: bool
    blocked: bool
    items: int


@dataclass(frozen=True, slots=True)
class Vouch:
    """`source` vouches for `target` at level 1 to 3."""

    source: PeerId
    target: PeerId
    level: int


@dataclass(frozen=True, slots=True)
class TrustView:
    """Nodes, the person first and then by score, and the vouches between them.

    Attributes:
        nodes: the person, the most trusted peers and all blocked ones.
        edges: those among the nodes.
        trusted: how many peers have trust, shown or not.
    """

    nodes: tuple[TrustNode, ...]
    edges: tuple[Vouch, ...]
    trusted: int

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types; keys are hex."""
        return {
            "trusted": self.trusted,
            "nodes": [
                {
                    "peer": node.peer.hex(),
                    "score": round(node.score, 6),
                    "me": node.me,
                    "direct": node.direct,
                    "blocked": node.blocked,
                    "items": node.items,
                }
                for node in self.nodes
            ],
            "edges": [
                {"source": edge.source.hex(), "target": edge.target.hex(), "level": edge.level} for edge in self.edges
            ],
        }


def trust_view(ego: PeerId, view: SocialView, said: Iterable[Opinion], store: RecordStore, limit: int) -> TrustView:
    """Return the `limit` most trusted peers around `ego`, whom it blocked, and who vouches for whom among them.

    Args:
        ego: this device.
        view: what the walks say.
        said: the person's opinions, under the keys that peers have now.
        store: the records that were received.
        limit: how many trusted peers at most.
    """
    own = {PeerId(o.peer): o.level for o in said}
    shown = list(view.trusted)[:limit]
    shown += [peer for peer in own if peer not in view.trusted]
    records: dict[PeerId, SignedRecord] = {peer: signed for peer in shown if (signed := store.get(peer)) is not None}
    nodes = [TrustNode(ego, 1.0, True, False, False, 0)]
    for peer in shown:
        score = view.trusted[peer].score if peer in view.trusted else 0.0
        level, items = own.get(peer, 0), len(records[peer].record.items) if peer in records else 0
        nodes.append(TrustNode(peer, score, False, level > 0, level == BLOCKED, items))
    edges = [Vouch(ego, peer, level) for peer, level in own.items() if level > 0]
    known = {node.peer for node in nodes}
    for peer, signed in records.items():
        edges += [Vouch(peer, edge.peer, edge.level) for edge in signed.record.trust if edge.peer in known]
    return TrustView(tuple(nodes), tuple(edges), len(view.trusted))
