"""Devices of the gossip benchmark: the SDK's own parts joined without files, threads and sockets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.gossip_people import NAMESPACE, People
from p2p import Gossip, PeerId, RecordStore, SignedRecord
from sdk.interest import Interest, InterestConfig
from sdk.item_opinion import ItemOpinion
from sdk.simulation.keys import remembered
from sdk.social import SocialConfig, SocialGraph
from sdk.store import Opinion
from trust import MeritRankConfig, SalsaConfig

START = 1_700_006_400.0  # on the hour
DAY_S = 86_400.0
TOP = 50


class Updates:
    """Everyone publishes once a day, each at a time of its own."""

    def __init__(self, people: People, seed: int) -> None:
        self._people = people
        self._offset = np.random.default_rng((seed, 1)).uniform(0, DAY_S, len(people))
        self._signed: dict[tuple[int, int], SignedRecord] = {}

    def version_at(self, person: int, now: float) -> int:
        """Return the version that a person has published by some time."""
        return max(1, 2 + math.floor((now - START - float(self._offset[person])) / DAY_S))

    def time_of(self, person: int, version: int) -> float:
        """Return when a version from 2 on is published."""
        return float(START + self._offset[person] + (version - 2) * DAY_S)

    def record(self, person: int, version: int) -> SignedRecord:
        """Return a version of a person's record, signed once."""
        if (person, version) not in self._signed:
            at = START if version == 1 else self.time_of(person, version)
            self._signed[person, version] = self._people.record(person, version, at)
        return self._signed[person, version]


class Device:
    """A device as the SDK makes it.

    Args:
        people: the network.
        person: whose device.
        clock: Unix seconds.
        wanted: how many authors it follows; None for everyone.
        seed: of its choices.
    """

    def __init__(self, people: People, person: int, clock: Callable[[], float], wanted: int | None, seed: int) -> None:
        self.person = person
        self.peer = people.peer(person)
        self.social = social_of(people, person, 0)
        self.social.look_around()
        self.store = RecordStore(":memory:", max_authors=2 * len(people), max_bytes=1 << 30, hits=self.social.hits)
        limit = InterestConfig(2 * len(people)) if wanted is None else InterestConfig(0, wanted)
        self.interest = Interest(self.social, lambda: 1 + len(self.store), limit)
        self.core = Gossip(
            self.peer,
            self.store,
            clock,
            np.random.default_rng((seed, person)),
            admit=self.interest.admit,
            frontier=self.interest.frontier,
            opener=remembered,  # verified once for all devices: it is bytes that are measured here, not CPU
        )
        self._trust: dict[PeerId, object] = {}
        self._dirty = False

    def take(self, authors: frozenset[PeerId]) -> None:
        """Bring the trust graph up to date."""
        for author in authors:
            signed = self.store.get(author)
            trust = None if signed is None else signed.record.trust
            if signed is None:
                self.social.drop(author)
            else:
                self.social.set_record(signed.record)
            # Most updates change items only, and leave the walks over peers as they are.
            self._dirty |= self._trust.get(author) != trust
            self._trust[author] = trust

    def look_around(self) -> None:
        """Walk again if trust changed."""
        if self._dirty:
            self._dirty = False
            self.social.look_around()
            self.interest.refresh()


def social_of(people: People, person: int, seed: int, walks: int = 10_000) -> SocialGraph:
    """Return what a person knows before meeting anyone: its own vouches and items."""
    config = SocialConfig(MeritRankConfig(walks=walks), SalsaConfig(walks=walks), seed)
    social = SocialGraph(people.peer(person), config)
    vouches = [Opinion(people.peer(other), 1 + other % 3, 0) for other in people.trusted[person]]
    items = [ItemOpinion(str(item), 1 + item % 3, int(START / DAY_S)) for item in people.liked[person]]
    social.set_self(items, vouches, NAMESPACE)
    return social


def top_items(social: SocialGraph) -> list[bytes]:
    """Return the keys of the best items that peers vouch for."""
    return [key for key, score in social.view().item_scores.items() if score.n_supporters][:TOP]


def overlap_of(one: Sequence[bytes], other: Sequence[bytes]) -> float:
    """Return which share of a list is in another one."""
    return len(set(one) & set(other)) / max(1, len(other))
