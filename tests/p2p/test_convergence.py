"""Twenty peers over bad links end up with equal stores, always in the same way, whatever garbage is thrown in."""

from __future__ import annotations

import numpy as np
import pytest

from p2p.gossip import Gossip
from p2p.identity import Identity, PeerId
from p2p.memory import LinkConfig, MemoryNetwork
from p2p.record import AdjacencyRecord, TrustEdge, round_issued_at, sign_record
from p2p.store import Entry, RecordStore

PEERS = [Identity.from_seed(bytes([n]) * 32) for n in range(1, 21)]
BAD_LINKS = LinkConfig(latency_s=(0.01, 1.0), loss=0.3)
PATIENCE_S = 300.0


class Swarm:
    """A ring with chords of peers on one virtual clock; the wide range of latencies reorders messages."""

    def __init__(self, seed: int) -> None:
        self.network = MemoryNetwork(seed, BAD_LINKS)
        self.stores = {peer.peer_id: RecordStore(":memory:") for peer in PEERS}  # type: ignore[arg-type]
        self.cores: dict[PeerId, Gossip] = {}
        for number, (peer, store) in enumerate(self.stores.items()):
            rng = np.random.default_rng([seed, number])
            self.cores[peer] = Gossip(peer, store, self.network.clock, rng)
            self.network.add(peer, self.cores[peer])
        for number in range(len(PEERS)):
            for step in (1, 5):
                other = (number + step) % len(PEERS)
                self.network.connect(PEERS[number].peer_id, PEERS[other].peer_id)

    def publish(self, author: Identity, friend: Identity) -> None:
        core = self.cores[author.peer_id]
        issued_at = round_issued_at(int(self.network.now))
        trust = (TrustEdge(friend.peer_id, 2),)
        record = AdjacencyRecord(author.peer_id, core.next_version(), issued_at, trust, ())
        self.network.perform(author.peer_id, core.publish(sign_record(record, author)))

    def publish_all(self, step: int) -> None:
        for number, author in enumerate(PEERS):
            self.publish(author, PEERS[(number + step) % len(PEERS)])

    def summaries(self) -> list[list[Entry]]:
        return [sorted(store.summary()) for store in self.stores.values()]

    def equal(self) -> bool:
        first, *others = self.summaries()
        return len(first) == len(PEERS) and all(other == first for other in others)

    def converges(self) -> bool:
        return self.network.run_until(self.equal, PATIENCE_S)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_peers_converge_in_spite_of_loss_and_reordering(seed: int) -> None:
    swarm = Swarm(seed)
    swarm.publish_all(step=1)
    assert swarm.converges()


def test_a_partition_that_heals_is_repaired() -> None:
    swarm = Swarm(seed=3)
    swarm.publish_all(step=1)
    assert swarm.converges()
    ids = [peer.peer_id for peer in PEERS]
    swarm.network.partition(ids[:10], ids[10:])
    swarm.publish_all(step=2)
    assert not swarm.network.run_until(swarm.equal, 60.0)
    swarm.network.heal()
    assert swarm.converges()
    assert {version for _, version, _ in swarm.summaries()[0]} == {2}


def test_the_same_seed_runs_the_same_way() -> None:
    runs = []
    for _ in range(2):
        swarm = Swarm(seed=4)
        swarm.publish_all(step=1)
        assert swarm.converges()
        runs.append((swarm.network.now, swarm.network.changed))
    assert runs[0] == runs[1]


def test_garbage_does_not_stop_convergence() -> None:
    swarm = Swarm(seed=5)
    rng = np.random.default_rng(6)
    swarm.publish_all(step=1)
    for _ in range(500):
        source, target = rng.choice(len(PEERS), 2, replace=False)
        data = rng.bytes(int(rng.integers(0, 300)))
        swarm.network.inject(PEERS[source].peer_id, PEERS[target].peer_id, data)
    assert swarm.converges()
    assert any(sum(core.counters.rejected.values()) for core in swarm.cores.values())
