"""Many cores on a virtual clock: with loss, reordering and partitions, every store ends up the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from p2p.gossip import Gossip
from p2p.identity import Identity, PeerId
from p2p.memory import LinkConfig, MemoryNetwork
from p2p.record import AdjacencyRecord, ItemEdge, SignedRecord, round_issued_at, sign_record, tombstone
from p2p.store import RecordStore


class World:
    """Devices on one network; `ring` connects each with the next two."""

    def __init__(self, size: int, loss: float = 0.0, seed: int = 0) -> None:
        self.changed: list[tuple[float, PeerId, frozenset[PeerId]]] = []
        link = LinkConfig(latency_s=(0.005, 0.3), loss=loss)
        self.net = MemoryNetwork(seed, link, on_change=lambda *change: self.changed.append((self.net.now, *change)))
        self.ids = [Identity.from_seed(bytes([i + 1]) * 32) for i in range(size)]
        self.stores = [RecordStore(":memory:") for _ in self.ids]
        self.cores = [self.start(i) for i in range(size)]

    def core_of(self, index: int) -> Gossip:
        return Gossip(self.ids[index].peer_id, self.stores[index], self.net.clock, np.random.default_rng(index))

    def start(self, index: int) -> Gossip:
        core = self.core_of(index)
        self.net.add(self.ids[index].peer_id, core)
        return core

    def ring(self) -> None:
        for i in range(len(self.ids)):
            for step in (1, 2):
                self.connect(i, (i + step) % len(self.ids))

    def connect(self, left: int, right: int) -> None:
        self.net.connect(self.ids[left].peer_id, self.ids[right].peer_id)

    def record(self, index: int, version: int, variant: int = 0) -> SignedRecord:
        items = (ItemEdge(bytes([variant]) * 16, 1, 1),) if variant else ()
        body = AdjacencyRecord(self.ids[index].peer_id, version, round_issued_at(int(self.net.now)), (), items)
        return sign_record(body, self.ids[index])

    def publish(self, index: int, variant: int = 0) -> SignedRecord:
        core = self.cores[index]
        signed = self.record(index, core.next_version(), variant)
        self.net.perform(self.ids[index].peer_id, core.publish(signed))
        return signed

    def agree(self, records: int) -> Callable[[], bool]:
        def agreed() -> bool:
            return all(
                len(store) == records and set(store.entries()) == set(self.stores[0].entries()) for store in self.stores
            )

        return agreed

    def close(self) -> None:
        for store in self.stores:
            store.close()


@pytest.fixture
def world() -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(size: int, loss: float = 0.0, seed: int = 0) -> World:
        worlds.append(World(size, loss, seed))
        return worlds[-1]

    yield make
    for each in worlds:
        each.close()


def test_eight_peers_converge_within_five_seconds(world: Callable[..., World]) -> None:
    eight = world(8)
    eight.ring()
    for i in range(8):
        eight.publish(i)
    assert eight.net.run_until(eight.agree(8), 5.0)


def test_records_from_before_the_connections_spread_too(world: Callable[..., World]) -> None:
    line = world(5)
    for i in range(5):
        line.publish(i)
    for i in range(4):
        line.connect(i, i + 1)
    assert line.net.run_until(line.agree(5), 10.0)


@pytest.mark.parametrize("seed", range(4))
def test_loss_and_reordering_only_delay(world: Callable[..., World], seed: int) -> None:
    lossy = world(12, loss=0.3, seed=seed)
    lossy.ring()
    for i in range(12):
        lossy.publish(i)
    assert lossy.net.run_until(lossy.agree(12), 120.0)
    latest = [lossy.publish(i, variant=2) for i in (0, 5, 0, 5)]
    # Whom no copy of an announcement reaches learns of it when stores are compared, every ten minutes at the latest.
    assert lossy.net.run_until(lossy.agree(12), 1_200.0)
    for store in lossy.stores:
        assert store.get(lossy.ids[0].peer_id) == latest[2]
        assert store.get(lossy.ids[5].peer_id) == latest[3]


def test_a_partition_heals(world: Callable[..., World]) -> None:
    split = world(10)
    split.ring()
    names = [identity.peer_id for identity in split.ids]
    split.net.partition(names[:5], names[5:])
    for i in range(10):
        split.publish(i)
    assert not split.net.run_until(split.agree(10), 60.0)
    assert {len(store) for store in split.stores} == {5}
    split.net.heal()
    assert split.net.run_until(split.agree(10), 60.0)


def test_a_peer_that_left_catches_up_when_it_returns(world: Callable[..., World]) -> None:
    three = world(3)
    names = [identity.peer_id for identity in three.ids]
    three.connect(0, 1)
    three.connect(1, 2)
    three.net.disconnect(names[1], names[2])
    three.publish(0)
    assert not three.net.run_until(three.agree(1), 20.0)
    three.connect(1, 2)
    assert three.net.run_until(three.agree(1), 5.0)


@pytest.mark.parametrize("seed", range(3))
def test_devices_come_and_go_and_agree_in_the_end(world: Callable[..., World], seed: int) -> None:
    twelve = world(12, loss=0.05, seed=seed)
    twelve.ring()
    rng = np.random.default_rng(seed)
    away: set[int] = set()
    for step in range(40):
        index = int(rng.integers(12))
        if index in away:
            twelve.cores[index] = twelve.core_of(index)  # a new process with the old store
            twelve.net.come_back(twelve.ids[index].peer_id, twelve.cores[index])
            away.discard(index)
        elif len(away) < 6:
            twelve.net.leave(twelve.ids[index].peer_id)
            away.add(index)
        for other in set(range(12)) - away:
            if rng.random() < 0.2:
                twelve.publish(other, variant=step + 1)
        twelve.net.run_until(lambda: False, float(rng.uniform(0.1, 3.0)))
    for index in away:
        twelve.cores[index] = twelve.core_of(index)
        twelve.net.come_back(twelve.ids[index].peer_id, twelve.cores[index])
    for index in range(12):
        twelve.publish(index)
    assert twelve.net.run_until(twelve.agree(12), 60.0)
    assert all(not store.distrusted() for store in twelve.stores)


def test_traffic_is_counted_at_both_ends(world: Callable[..., World]) -> None:
    two = world(2)
    two.connect(0, 1)
    two.publish(0, variant=1)
    assert two.net.run_until(two.agree(1), 5.0)
    two.net.run_until(lambda: False, 1.0)  # what is under way arrives
    one, other = (two.ids[i].peer_id for i in range(2))
    assert two.net.sent[one] == two.net.received[other] > len(two.record(0, 1, 1).to_bytes())
    assert two.net.received[one] == two.net.sent[other] > 0


def test_a_tombstone_reaches_everyone(world: Callable[..., World]) -> None:
    five = world(5)
    five.ring()
    five.publish(0, variant=3)
    assert five.net.run_until(five.agree(1), 10.0)
    gone = sign_record(tombstone(five.ids[0].peer_id, five.cores[0].next_version(), int(five.net.now)), five.ids[0])
    five.net.perform(five.ids[0].peer_id, five.cores[0].publish(gone))
    assert five.net.run_until(lambda: all(s.get(five.ids[0].peer_id) == gone for s in five.stores), 10.0)


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_an_equivocator_is_distrusted_by_everyone_in_the_end(world: Callable[..., World], loss: float) -> None:
    nine = world(9, loss)
    nine.ring()
    cheat = Identity.from_seed(b"\xee" * 32)
    for i, variant in ((0, 1), (4, 2)):  # each side of the ring hears another story
        story = sign_record(
            AdjacencyRecord(cheat.peer_id, 7, 3600, (), (ItemEdge(bytes([variant]) * 16, 1, 1),)), cheat
        )
        nine.net.perform(nine.ids[i].peer_id, nine.cores[i].relay([story]))
    assert nine.net.run_until(lambda: all(s.distrusted() == {cheat.peer_id} for s in nine.stores), 120.0)
    assert all(store.proof(cheat.peer_id) is not None and len(store) == 0 for store in nine.stores)


def test_a_restored_backup_continues_above_what_its_peers_know(world: Callable[..., World]) -> None:
    four = world(4)
    four.ring()
    for _ in range(3):
        four.publish(0)
    assert four.net.run_until(four.agree(1), 20.0)
    four.stores[0].close()
    four.stores[0] = RecordStore(":memory:")  # the disk as it was before anything was published
    four.cores[0] = four.start(0)
    four.connect(0, 1)
    assert not four.cores[0].ready_to_publish
    assert four.net.run_until(lambda: four.cores[0].ready_to_publish, 5.0)
    assert four.publish(0).record.version == 4
    assert four.net.run_until(four.agree(1), 20.0)
    assert four.stores[1].distrusted() == frozenset()


def test_quiet_networks_send_little(world: Callable[..., World]) -> None:
    ten = world(10)
    ten.ring()
    for i in range(10):
        ten.publish(i)
    assert ten.net.run_until(ten.agree(10), 20.0)
    ten.net.run_until(lambda: False, 20.0)
    before = sum(core.counters.messages_out for core in ten.cores)
    ten.net.run_until(lambda: False, 60.0)
    sent = sum(core.counters.messages_out for core in ten.cores) - before
    assert sent <= 10 * 2 * (60 / 5 + 1)  # one question and one answer for each comparison, every 5 s


def test_garbage_from_a_peer_stops_nothing(world: Callable[..., World]) -> None:
    five = world(5)
    five.ring()
    noise = np.random.default_rng(0)
    for i in range(5):
        five.publish(i)
        for _ in range(50):
            five.net.inject(five.ids[i].peer_id, five.ids[(i + 1) % 5].peer_id, noise.bytes(int(noise.integers(0, 80))))
    assert five.net.run_until(five.agree(5), 20.0)
    assert sum(sum(core.counters.rejected.values()) for core in five.cores) > 0


def test_everyone_is_told_of_every_change(world: Callable[..., World]) -> None:
    four = world(4)
    four.ring()
    for i in range(4):
        four.publish(i)
    assert four.net.run_until(four.agree(4), 20.0)
    told: dict[PeerId, set[PeerId]] = {}
    for _, peer, authors in four.changed:
        told.setdefault(peer, set()).update(authors)
    everyone = {identity.peer_id for identity in four.ids}
    assert told == dict.fromkeys(everyone, everyone)


def test_the_same_seed_gives_the_same_history(world: Callable[..., World]) -> None:
    def history() -> list[tuple[float, PeerId, frozenset[PeerId]]]:
        lossy = world(8, loss=0.2, seed=3)
        lossy.ring()
        for i in range(8):
            lossy.publish(i)
        lossy.net.run_until(lossy.agree(8), 60.0)
        return lossy.changed

    first = history()
    assert first == history()
    assert first
