"""A made-up network of people for the gossip benchmark: who trusts whom, who likes what, and their signed records.

People live in groups; most of whom they trust, and most of what they like, is of their own group, and some in a group
are trusted by many (Zipf, exponent 0.7). Degrees are log-normal, as in real trust networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from p2p import (
    AdjacencyRecord,
    Identity,
    ItemEdge,
    PeerId,
    SignedRecord,
    TrustEdge,
    item_key,
    round_issued_at,
    sign_record,
)

NAMESPACE = "benchmark"
GROUP = 150
LOCAL = 0.9
_LOCAL_ITEMS = 0.7
_ITEMS_PER_PERSON = 2
_DAY_S = 86_400


@dataclass(frozen=True)
class People:
    """A network.

    Attributes:
        identities: of everyone.
        trusted: for each person the others whom it trusts.
        liked: for each person the items that it likes.
    """

    identities: list[Identity]
    trusted: list[list[int]]
    liked: list[list[int]]

    def __len__(self) -> int:
        return len(self.identities)

    def peer(self, person: int) -> PeerId:
        """Return a person's key."""
        return self.identities[person].peer_id

    def record(self, person: int, version: int, now: float) -> SignedRecord:
        """Return a person's record; each version replaces a few of the items."""
        rng = np.random.default_rng((person, version))
        items = self.liked[person]
        kept = [item if version == 1 or rng.random() < 0.9 else int(rng.integers(1 << 30)) for item in items]
        edges = {item_key(NAMESPACE, str(item)): 1 + item % 3 for item in kept}
        day = int(now) // _DAY_S
        return sign_record(
            AdjacencyRecord(
                self.peer(person),
                version,
                round_issued_at(int(now)),
                tuple(sorted(TrustEdge(self.peer(other), 1 + other % 3) for other in self.trusted[person])),
                tuple(ItemEdge(key, level, day) for key, level in sorted(edges.items())),
            ),
            self.identities[person],
        )


@lru_cache(maxsize=4)
def made_people(count: int, seed: int = 0, local: float = LOCAL) -> People:
    """Make a network of so many people."""
    rng = np.random.default_rng(seed)
    popularity = np.arange(1, GROUP + 1) ** -0.7
    popularity /= popularity.sum()
    trusted, liked = [], []
    for person in range(count):
        first = person // GROUP * GROUP
        trusted.append(_friends(rng, person, first, count, popularity, local))
        liked.append(_items(rng, first, count))
    identities = [Identity.from_seed(int(1 + i).to_bytes(32, "big")) for i in range(count)]
    return People(identities, trusted, liked)


def _friends(
    rng: np.random.Generator, person: int, first: int, count: int, popularity: np.ndarray, local: float
) -> list[int]:
    degree = int(np.clip(rng.lognormal(np.log(15) - 0.3, 0.8), 2, 32))
    near = first + rng.choice(GROUP, degree, p=popularity)
    chosen = np.where(rng.random(degree) < local, near, rng.integers(0, count, degree))
    return sorted({int(other) for other in chosen if other < count} - {person}) or [(person + 1) % count]


def _items(rng: np.random.Generator, first: int, count: int) -> list[int]:
    number = int(np.clip(rng.lognormal(np.log(40) - 0.2, 0.6), 5, 64))
    near = first * _ITEMS_PER_PERSON + np.floor(GROUP * _ITEMS_PER_PERSON * rng.random(number) ** 2)
    anywhere = np.floor(count * _ITEMS_PER_PERSON * rng.random(number) ** 3)
    return sorted({int(item) for item in np.where(rng.random(number) < _LOCAL_ITEMS, near, anywhere)})
