"""What a record store holds, in memory: versions, sizes, successors, and who goes when room is needed. No I/O."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from p2p.identity import PeerId

_PINNED = float("inf")


class Held(NamedTuple):
    """One author's statement: its version and digest, its place in the order of updates, and its size."""

    version: int
    digest: bytes
    place: int
    n_bytes: int


@dataclass(slots=True)
class StoreIndex:
    """The content of the tables.

    Attributes:
        held: by author, the one updated longest ago first.
        successors: of those who handed over.
        convicted: equivocators in the order of conviction.
        evicted: authors who went since the last `RecordStore.take_evicted`, each with the version that went.
        n_bytes: size of all statements.
        last_place: of the latest update.
    """

    held: dict[PeerId, Held] = field(default_factory=dict)
    successors: dict[PeerId, PeerId] = field(default_factory=dict)
    convicted: dict[PeerId, None] = field(default_factory=dict)
    evicted: dict[PeerId, int] = field(default_factory=dict)
    n_bytes: int = 0
    last_place: int = 0

    def copy(self) -> StoreIndex:
        """Return a copy to go back to."""
        parts = dict(self.held), dict(self.successors), dict(self.convicted), dict(self.evicted)
        return StoreIndex(*parts, self.n_bytes, self.last_place)

    def put(self, author: PeerId, held: Held, successor: PeerId | None) -> None:
        """Take an author's statement in place of the one before."""
        if author in self.held:
            self.drop(author)
        self.held[author] = held
        self.n_bytes += held.n_bytes
        self.last_place = max(self.last_place, held.place)
        self.evicted.pop(author, None)
        if successor is not None:
            self.successors[author] = successor

    def drop(self, author: PeerId) -> None:
        """Forget an author's statement."""
        before = self.held.pop(author, None)
        self.n_bytes -= 0 if before is None else before.n_bytes
        self.successors.pop(author, None)

    def evict(self, author: PeerId) -> None:
        """Forget an author's statement and remember that it went."""
        version = self.held[author].version
        self.drop(author)
        self.evicted[author] = version


class Victims:
    """Who goes when room is needed: the fewest hits first, then the one updated longest ago.

    Made once for a batch; who handed over is worth what the successor is worth. Hits are looked up once.
    """

    def __init__(self, index: StoreIndex, pinned: Collection[PeerId], hits: Callable[[PeerId], float]) -> None:
        self._index = index
        self._pinned = pinned
        self._hits = hits
        self._queue: list[tuple[float, int, PeerId]] | None = None

    def worth(self, author: PeerId) -> float:
        """Return the hits that an author is kept by."""
        author = self._index.successors.get(author, author)
        return _PINNED if author in self._pinned else self._hits(author)

    def next(self, but: PeerId) -> tuple[PeerId, float] | None:
        """Return the next to go and its worth, not counting one; None when nobody may go."""
        if self._queue is None:
            held = self._index.held.items()
            self._queue = [(self.worth(author), row.place, author) for author, row in held]
            heapq.heapify(self._queue)
        while self._queue:
            worth, place, author = self._queue[0]
            row = self._index.held.get(author)
            if row is not None and row.place == place and author != but:
                return None if worth == _PINNED else (author, worth)
            heapq.heappop(self._queue)  # it went, or is being updated
        return None
