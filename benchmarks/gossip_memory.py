"""Traffic of a device against the size of the network, on the in-memory transport and its virtual clock.

Two ways to take part: to follow whom one's walks visit most, or to be pushed everyone's records. The latter is counted
at its least: each record arrives once, without duplicates and without any protocol around it.

Small networks are simulated whole. In large ones some devices are real, and so is all that they and their neighbours
say to each other; a neighbour is a real core too, but all other devices are one core that holds everyone's records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean

import numpy as np

from benchmarks.gossip_devices import DAY_S, START, Device, Updates, overlap_of, social_of, top_items
from benchmarks.gossip_people import People, made_people
from p2p import Gossip, MemoryNetwork, PeerId, RecordStore, SignedRecord
from p2p.memory import LinkConfig
from sdk.simulation.keys import remembered
from trust import AuthorEdges, GraphLimits, MeritRankConfig, TrustGraph, rank_peers

DAYS = 2  # the first begins with empty stores, the second shows what goes on
NEIGHBOURS = 6
WALKS = (10_000, 100_000)
_TICK_S = 30.0
_LOOK_S = 30.0
_LINK = LinkConfig(latency_s=(0.02, 0.3))


@dataclass(frozen=True)
class Likeness:
    """How the 50 best items of a device are like those of one that holds everyone's records.

    Attributes:
        guided: share of the latter's among the former's.
        chance: the same for a device that holds everyone's records too, but draws its walks from another seed.
    """

    guided: float
    chance: float


@dataclass(frozen=True)
class Traffic:
    """What one device received, and what it came to know.

    Attributes:
        days: bytes of each day; the first begins with an empty store.
        held: records held in the end.
        fresh: share of those that were then the latest of their authors.
        likeness: by number of walks, as devices draw and ten times as many, which leaves less to chance; empty if the
            device was not judged.
    """

    days: tuple[int, ...]
    held: int
    fresh: float
    likeness: dict[int, Likeness]


def pushed_bytes(people: People, updates: Updates) -> int:
    """Return the bytes of one day's records of everyone else."""
    sample = range(0, len(people), max(1, len(people) // 500))
    size = mean(len(updates.record(person, 1).to_bytes()) for person in sample)
    return round(size * (len(people) - 1))


def friends_of(people: People, person: int, seed: int) -> list[int]:
    """Return whom a device connects to: some of those whom its person trusts, and if they are few, whom these trust."""
    rng = np.random.default_rng((seed, 2, person))
    near = rng.permutation(people.trusted[person]).tolist()
    further = [other for friend in near for other in people.trusted[friend]]
    return [other for other in dict.fromkeys([*near, *further]) if other != person][:NEIGHBOURS]


class Simulation:
    """Devices on a virtual clock for two days.

    Args:
        people: the network.
        updates: who publishes what when.
        wanted: how many authors a device follows.
        seed: of latency and choices.
    """

    def __init__(self, people: People, updates: Updates, wanted: int, seed: int) -> None:
        self._people, self._updates, self._wanted, self._seed = people, updates, wanted, seed
        self.devices: dict[PeerId, Device] = {}
        self.net = MemoryNetwork(seed, _LINK, START, on_change=self._changed)

    def _changed(self, peer: PeerId, authors: frozenset[PeerId]) -> None:
        if peer in self.devices:
            self.devices[peer].take(authors)

    def add_device(self, person: int) -> Device:
        """Add a whole device, which publishes once a day."""
        device = Device(self._people, person, self.net.clock, self._wanted, self._seed)
        self.devices[device.peer] = device
        self.net.add(device.peer, device.core, _TICK_S)
        self._look_now_and_then(device)
        for version in range(1, 2 + DAYS):
            at = START if version == 1 else self._updates.time_of(person, version)
            self.net.at(at, partial(self._publish, device, version))
        return device

    def add_neighbour(self, person: int, follows: Sequence[int]) -> PeerId:
        """Add a core that holds the records of some authors, and wants their updates."""
        peer, store, rng = self._people.peer(person), RecordStore(":memory:"), np.random.default_rng((3, person))
        store.put_many([self._updates.record(author, 1) for author in follows])
        keys = frozenset(self._people.peer(author) for author in follows) | {peer}
        core = Gossip(
            peer,
            store,
            self.net.clock,
            rng,
            admit=lambda author: float(author in keys),
            frontier=lambda: keys,
            opener=remembered,
        )
        self.net.add(peer, core, _TICK_S)
        return peer

    def add_rest(self, neighbours: Sequence[PeerId], follows: Iterable[int]) -> None:
        """Add one core in place of all other devices: it brings the neighbours what they follow."""
        peer, store = PeerId(bytes(32)), RecordStore(":memory:", max_bytes=1 << 30)
        core = Gossip(peer, store, self.net.clock, np.random.default_rng(4), opener=remembered)
        self.net.add(peer, core, _TICK_S)
        for neighbour in neighbours:
            self.net.connect(peer, neighbour)
        for author in sorted(follows):
            for version in range(2, 2 + DAYS):
                at = self._updates.time_of(author, version)
                self.net.at(at, partial(self._learn, peer, core, author, version))

    def run(self, progress: Callable[[], None]) -> list[dict[PeerId, int]]:
        """Let two days pass; return for each the bytes that peers received. `progress` is told every hour."""
        days = []
        for _ in range(DAYS):
            before = self.net.received.copy()
            for _ in range(24):
                self.net.run_until(lambda: False, DAY_S / 24)
                progress()
            days.append({peer: self.net.received[peer] - before[peer] for peer in self.devices})
        return days

    def _publish(self, device: Device, version: int) -> None:
        signed = self._updates.record(device.person, version)
        self.net.perform(device.peer, device.core.publish(signed))

    def _learn(self, peer: PeerId, core: Gossip, author: int, version: int) -> None:
        self.net.perform(peer, core.relay([self._updates.record(author, version)]))

    def _look_now_and_then(self, device: Device) -> None:
        device.look_around()
        self.net.at(self.net.now + _LOOK_S, partial(self._look_now_and_then, device))


class Judge:
    """Compares what devices know with what a device would that holds everyone's records."""

    def __init__(self, people: People, updates: Updates) -> None:
        self._people = people
        now = START + DAYS * DAY_S
        self._latest = [updates.record(person, updates.version_at(person, now)) for person in range(len(people))]
        self._digest = {signed.author: signed.digest for signed in self._latest}

    def traffic(self, device: Device, days: tuple[int, ...], *, rank: bool) -> Traffic:
        """Sum a device up; to compare its ranking takes seconds in a large network."""
        fresh = mean(digest == self._digest[author] for author, _, digest in device.store.summary())
        likeness = {walks: self._likeness(device, walks) for walks in WALKS} if rank else {}
        return Traffic(days, len(device.store), fresh, likeness)

    def _likeness(self, device: Device, walks: int) -> Likeness:
        best, other = (self._top(device.person, self._latest, walks, seed) for seed in (0, 1))
        mine = self._top(device.person, device.store.records(), walks, 0)
        return Likeness(overlap_of(mine, best), overlap_of(other, best))

    def _top(self, person: int, records: Sequence[SignedRecord], walks: int, seed: int) -> list[bytes]:
        social = social_of(self._people, person, seed, walks)
        for signed in records:
            social.set_record(signed.record)
        return top_items(social)


def simulate_whole(
    people: People, wanted: int, seed: int, progress: Callable[[], None], judged: int = 12
) -> list[Traffic]:
    """Simulate every device; return the traffic of all, with the rankings of a few."""
    updates = Updates(people, seed)
    simulation, judge = Simulation(people, updates, wanted, seed), Judge(people, updates)
    for person in range(len(people)):
        simulation.add_device(person)
    links = {frozenset((one, other)) for one in range(len(people)) for other in friends_of(people, one, seed)[:3]}
    for one, other in sorted(map(sorted, links)):
        simulation.net.connect(people.peer(one), people.peer(other))
    days = simulation.run(progress)
    chosen = set(np.random.default_rng(seed).permutation(len(people))[:judged].tolist())
    return [
        judge.traffic(device, tuple(day[peer] for day in days), rank=device.person in chosen)
        for peer, device in simulation.devices.items()
    ]


def simulate_some(
    people: People, wanted: int, seed: int, progress: Callable[[], None], devices: int = 12
) -> list[Traffic]:
    """Simulate a few devices of a large network, each with its neighbours."""
    updates, everyone = Updates(people, seed), trust_graph(people)
    judge, traffic = Judge(people, updates), []
    for person in np.random.default_rng(seed).permutation(len(people))[:devices].tolist():
        simulation = Simulation(people, updates, wanted, seed)
        me = simulation.add_device(person)
        follows = {other: most_visited(everyone, other, wanted) for other in friends_of(people, person, seed)}
        neighbours = [simulation.add_neighbour(other, authors) for other, authors in follows.items()]
        simulation.add_rest(neighbours, {author for authors in follows.values() for author in authors} - {person})
        for neighbour in neighbours:
            simulation.net.connect(me.peer, neighbour)
        days = simulation.run(progress)
        traffic.append(judge.traffic(me, tuple(day[me.peer] for day in days), rank=True))
    return traffic


def trust_graph(people: People) -> TrustGraph:
    """Return who trusts whom, over the numbers of people."""
    graph = TrustGraph(GraphLimits(authors=len(people) + 1))
    for person, trusted in enumerate(people.trusted):
        graph.replace(person, AuthorEdges({other: 2.0 ** (other % 3) for other in trusted}, {}))
    return graph


def most_visited(graph: TrustGraph, person: int, count: int) -> list[int]:
    """Return whom a person's walks visit most, if everyone's trust is known."""
    hits = rank_peers(graph, person, MeritRankConfig(), 0).hits()
    ranked = sorted((int(str(other)) for other in hits), key=lambda other: -hits[other])
    return [other for other in ranked if other != person][:count]


def heal_seconds(count: int, seed: int) -> float | None:
    """Cut a network that loses a tenth of its messages in two, let everyone publish, and join it again.

    Returns:
        Virtual seconds until all stores are equal and hold everyone's latest record; None if that takes ten minutes.
    """
    people = made_people(count)
    net = MemoryNetwork(seed, LinkConfig(_LINK.latency_s, loss=0.1), START)
    stores = {people.peer(person): RecordStore(":memory:") for person in range(count)}
    cores = {
        peer: Gossip(peer, store, net.clock, np.random.default_rng(person))
        for person, (peer, store) in enumerate(stores.items())
    }
    for peer, core in cores.items():
        net.add(peer, core)
    for person in range(count):
        for other in friends_of(people, person, seed):
            net.connect(people.peer(person), people.peer(other))
    everyone = list(stores)
    net.partition(everyone[::2], everyone[1::2])
    digests = {}
    for person, peer in enumerate(everyone):
        signed = people.record(person, cores[peer].next_version(), net.now)
        digests[peer] = signed.digest
        net.perform(peer, cores[peer].publish(signed))
    net.run_until(lambda: False, 60.0)
    net.heal()
    began = net.now
    while net.now < began + 600:
        if all({author: digest for author, _, digest in store.summary()} == digests for store in stores.values()):
            return net.now - began
        net.run_until(lambda: False, 1.0)
    return None
