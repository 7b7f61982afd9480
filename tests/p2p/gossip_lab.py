"""One gossip core on a bench: a clock to turn, a connected peer to speak for, and short ways to say things."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np

from p2p import messages
from p2p.effects import Changed, Effect, Request
from p2p.errors import Rejected
from p2p.gossip import Gossip
from p2p.gossip_config import GossipConfig
from p2p.holdings import Holdings
from p2p.identity import Identity, PeerId
from p2p.messages import Announce, AskBodies, Compare, Entries
from p2p.reconcile import cells_of
from p2p.record import AdjacencyRecord, ItemEdge, SignedRecord, round_issued_at, sign_record
from p2p.store import Entry, RecordStore

START = 1_700_000_000.0
ME, PEER, OTHER, ANN, BEN = (Identity.from_seed(bytes([i]) * 32) for i in range(5))


def record(author: Identity, version: int, variant: int = 0, at: float = START) -> SignedRecord:
    items = (ItemEdge(bytes([variant]) * 16, 1, 1),) if variant else ()
    return sign_record(AdjacencyRecord(author.peer_id, version, round_issued_at(int(at)), (), items), author)


def entry(signed: SignedRecord) -> Entry:
    return signed.record.author, signed.record.version, signed.digest


class Lab:
    """A core with a clock to turn and a connected peer to speak for."""

    def __init__(
        self, store: RecordStore | None = None, frontier: Collection[PeerId] | None = None, **config: object
    ) -> None:
        self.now = START
        self.store = RecordStore(":memory:") if store is None else store
        self.welcome: dict[PeerId, float] = {}
        self.core = Gossip(
            ME.peer_id,
            self.store,
            lambda: self.now,
            np.random.default_rng(0),
            replace(GossipConfig(pull_gap_s=(0.0, 0.0)), **config),  # type: ignore[arg-type]
            lambda author: self.welcome.get(author, 1.0),
            lambda: frontier,
        )

    def meet(self, peer: Identity = PEER) -> list[Effect]:
        return self.core.on_peer(peer.peer_id)

    def announce(self, *entries: Entry, peer: Identity = PEER) -> list[Effect]:
        return self.core.on_broadcast(peer.peer_id, messages.encode(Announce(entries)))

    def answer(self, effects: Iterable[Effect], *bodies: SignedRecord | bytes, peer: Identity = PEER) -> list[Effect]:
        """Answer the one pull among `effects`."""
        (pull,) = [e for e in effects if isinstance(e, Request) and isinstance(asked(e), AskBodies)]
        wire = [body if isinstance(body, bytes) else body.to_bytes() for body in bodies]
        return self.core.on_response(peer.peer_id, pull.data, messages.encode_bodies(wire))

    def bring(self, *records: SignedRecord, peer: Identity = PEER) -> list[Effect]:
        """Announce records and deliver them."""
        return self.answer(self.announce(*map(entry, records), peer=peer), *records, peer=peer)

    def rejected(self, reason: Rejected) -> int:
        return self.core.counters.rejected[reason]


def asked(effect: Effect) -> messages.Request | None:
    return messages.decode_request(effect.data) if isinstance(effect, Request) else None


def questions(effects: Iterable[Effect]) -> list[messages.Request]:
    return [question for effect in effects if (question := asked(effect)) is not None]


def compare(*held: SignedRecord, nonce: int = 7, n_cells: int = 16) -> bytes:
    """The question of a peer that holds some records."""
    ids = Holdings(map(entry, held)).select().ids
    return messages.encode(Compare(nonce, b"", cells_of(ids, nonce, n_cells).to_bytes()))


def named(answer: bytes) -> tuple[Entry, ...]:
    found = messages.decode_comparison(answer)
    assert isinstance(found, Entries)
    return found.entries


def comparisons(effects: Iterable[Effect]) -> list[Request]:
    return [e for e in effects if isinstance(e, Request) and isinstance(asked(e), Compare)]


def changed(effects: Iterable[Effect]) -> frozenset[PeerId]:
    return frozenset(author for e in effects if isinstance(e, Changed) for author in e.authors)
