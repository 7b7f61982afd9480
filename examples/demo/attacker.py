"""The attacker's process: one identity that someone trusts, and 30 Sybils behind it, all signing valid records.

It speaks the same protocol as everyone; nothing it sends is malformed. The attack is in what it states: every Sybil
lists the spam at the highest level, next to what everyone likes, and vouches for its siblings.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from examples.demo.device import network_answer, resident_mb, serve
from p2p import (
    AdjacencyRecord,
    Identity,
    ItemEdge,
    PeerNode,
    RecordStore,
    SignedRecord,
    TrustEdge,
    item_key,
    round_issued_at,
    sign_record,
)
from p2p.libp2p_transport import Libp2pTransport

Answer = dict[str, Any]
_SIBLINGS = 4  # each Sybil vouches for this many of the next ones


class Attacker:
    """One node that publishes for many identities."""

    def __init__(self, folder: Path, sybils: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        self._identity = Identity.create()
        self._sybils = [Identity.create() for _ in range(sybils)]
        self._store = RecordStore(folder / "records.db")
        self._node = PeerNode(self._identity, self._store, Libp2pTransport(self._identity))
        self._records: list[SignedRecord] = []
        self._startup_s = time.perf_counter() - began

    def hello(self) -> Answer:
        """Say who this is."""
        return {
            "peer": self._identity.peer_id.hex(),
            "sybils": [sybil.peer_id.hex() for sybil in self._sybils],
            "runtime": "none",
            "startup_s": self._startup_s,
        }

    def setup(self, namespace: str, bait: list[str], spam: list[str]) -> Answer:
        """Sign every identity's record."""
        now = int(time.time())
        keys = {item_key(namespace, item): 2 for item in bait} | {item_key(namespace, item): 3 for item in spam}
        items = tuple(ItemEdge(key, level, now // 86_400) for key, level in sorted(keys.items()))
        targets: list[tuple[Identity, list[Identity]]] = [(self._identity, self._sybils)]
        for place, sybil in enumerate(self._sybils):
            siblings = [self._sybils[(place + step) % len(self._sybils)] for step in range(1, 1 + _SIBLINGS)]
            targets.append((sybil, [self._identity, *siblings]))
        self._records = [self._signed(author, vouched, items, now) for author, vouched in targets]
        return {"records": len(self._records), "spam": len(spam)}

    def _signed(self, author: Identity, vouched: list[Identity], items: tuple[ItemEdge, ...], now: int) -> SignedRecord:
        trust = tuple(TrustEdge(peer, 3) for peer in sorted(v.peer_id for v in vouched))
        return sign_record(AdjacencyRecord(author.peer_id, 1, round_issued_at(now), trust, items), author)

    def listen(self) -> Answer:
        """Start the node and publish everything."""
        addresses = list(self._node.start("/ip4/127.0.0.1/tcp/0"))
        self._node.relay(self._records)
        return {"addresses": addresses}

    def dial(self, addresses: list[str]) -> Answer:
        """Dial other devices."""
        for address in addresses:
            self._node.connect(address)
        return {}

    def status(self) -> Answer:
        """Say what the network brought."""
        return {**network_answer(self._node.status()), "rss_mb": resident_mb()}

    def stop(self) -> Answer:
        """Leave."""
        self._node.stop()
        self._store.close()
        return {}


def main() -> None:
    """Run the attacker: FOLDER SYBILS."""
    attacker = Attacker(Path(sys.argv[1]), int(sys.argv[2]))
    names = ("hello", "setup", "listen", "dial", "status", "stop")
    serve({name: getattr(attacker, name) for name in names})


if __name__ == "__main__":
    main()
