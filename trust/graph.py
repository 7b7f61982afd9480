"""The bounded store of authors' lists: what each states, in rows that walks run on.

Knows no ego, no signatures, no clock: what arrives here has been checked by whoever carries it. Peers and items are any
hashable keys, numbered in order of arrival; the numbers, not the keys, decide draws and ties, so renaming everybody
changes no rank.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np

from trust.changes import ChangeLog
from trust.edges import AuthorEdges, checked_weight
from trust.errors import ConfigError, SelfEdgeError, TooManyEdgesError
from trust.key_table import KeyTable
from trust.row_store import ItemRows, TrustRows
from trust.rows import Floats, Ints, inverse
from trust.snapshot import GraphSnapshot

_RENUMBER_FROM = 4096
_NO_DAY = -1


@dataclass(frozen=True, slots=True)
class GraphLimits:
    """How much a graph stores.

    Attributes:
        authors: Authors kept; one more evicts the least visited, then the oldest.
        trust_edges: Trust edges one author may state.
        item_edges: Item edges one author may state.

    Raises:
        ConfigError: A limit is below 1.
    """

    authors: int = 10_000
    trust_edges: int = 32
    item_edges: int = 64

    def __post_init__(self) -> None:
        if min(self.authors, self.trust_edges, self.item_edges) < 1:
            raise ConfigError(f"every graph limit must be at least 1, got {self}")


class TrustGraph:
    """Authors' adjacency lists, each replaced as a whole, at most `limits.authors` of them.

    Not thread-safe. Readers in this package (`PeerWalks`, `rank_items`) use the numbered rows below; they are not to be
    written from outside.

    Attributes:
        limits: How much is stored.
        peers: Peers and their numbers: authors and those they vouch for. Another table when numbers are given anew;
            numbers of two tables must not be mixed.
        items: Items and their numbers.
        trust_rows: Author → peers.
        item_rows: Author → items.
        changes: Which trust rows changed, in order.
    """

    def __init__(self, limits: GraphLimits | None = None, pinned: Iterable[Hashable] = ()) -> None:
        """Start empty.

        Args:
            limits: How much to store.
            pinned: Authors that are never evicted, such as the ego.

        Raises:
            ConfigError: The pinned authors leave no room for others.
        """
        self.limits = limits or GraphLimits()
        self._pinned = frozenset(pinned)
        if len(self._pinned) >= self.limits.authors:
            raise ConfigError(
                f"{len(self._pinned)} pinned authors leave no room among {self.limits.authors}; raise the limit"
            )
        self.peers, self.items = KeyTable(), KeyTable()
        self.trust_rows, self.item_rows = TrustRows(), ItemRows()
        self.changes = ChangeLog()
        self._age: dict[int, None] = {}  # authors by number; a replaced one moves to the end
        self._hits: Mapping[Hashable, float] = {}
        self._hit_counts: Floats | None = None  # by number, made when first needed
        self._renumber_at = _RENUMBER_FROM

    def __len__(self) -> int:
        return len(self._age)

    def __contains__(self, author: Hashable) -> bool:
        return self.peers.find(author) in self._age

    @property
    def authors(self) -> tuple[Hashable, ...]:
        """Authors whose lists are stored, the one replaced longest ago first."""
        return tuple(self.peers.keys[number] for number in self._age)

    @property
    def bytes(self) -> int:
        """Memory of the rows, in bytes; keys are the caller's."""
        return self.trust_rows.bytes + self.item_rows.bytes

    def replace(self, author: Hashable, edges: AuthorEdges) -> tuple[Hashable, ...]:
        """Store an author's whole list in place of the one before.

        Returns:
            Authors that had to go to make room: none, another author, or `author` itself when every stored
            author has more hits (a crowd of unknown authors cannot push out those that walks visit).

        Raises:
            SelfEdgeError: The author vouches for itself.
            TooManyEdgesError: A list is longer than the limits allow.
        """
        self._check(author, edges)
        number = self.peers.number(author)
        self._put(number, edges)
        self._age.pop(number, None)
        self._age[number] = None
        evicted = self._evict() if len(self._age) > self.limits.authors else ()
        self._tidy()
        return evicted

    def _put(self, number: int, edges: AuthorEdges) -> None:
        n_trust, n_items = len(edges.trust), len(edges.items)
        columns = self.peers.numbers(edges.trust)
        weights = np.fromiter(edges.trust.values(), np.float64, n_trust)
        if not self.trust_rows.states(number, columns, weights):  # most new lists change items only
            self._state_trust(number, columns, weights)
        days = (edges.item_days.get(item, _NO_DAY) for item in edges.items)
        self.item_rows.put(
            number,
            self.items.numbers(edges.items).astype(np.int32),
            np.fromiter(edges.items.values(), np.float64, n_items),
            np.fromiter(days, np.int32, n_items),
        )

    @contextmanager
    def standing_in(self, author: Hashable, edges: AuthorEdges) -> Iterator[None]:
        """Let walks find another list of an author for a while; afterwards its rows are as before, entry for entry.

        Nothing else may change in the meantime. An author without a stored list has none afterwards either.

        Raises:
            SelfEdgeError: The author vouches for itself.
            TooManyEdgesError: A list is longer than the limits allow.
        """
        self._check(author, edges)
        number = self.peers.number(author)
        trust = tuple(array.copy() for array in self.trust_rows.row(number))
        items = tuple(array.copy() for array in self.item_rows.row(number))
        self._put(number, edges)
        try:
            yield
        finally:
            self.trust_rows.put(number, *trust)
            self.item_rows.put(number, *items)
            self.changes.add(number)

    def replace_many(self, lists: Mapping[Hashable, AuthorEdges]) -> tuple[Hashable, ...]:
        """Store many authors' lists, as `replace` does one after the other, in a fifth of the time.

        Returns:
            Authors that had to go to make room.

        Raises:
            SelfEdgeError: An author vouches for itself; nothing was stored.
            TooManyEdgesError: A list is longer than the limits allow; nothing was stored.
        """
        for author, edges in lists.items():
            self._check(author, edges)
        if len(self._age) + len(lists) > self.limits.authors:  # each decides anew who goes
            return tuple(gone for author, edges in lists.items() for gone in self.replace(author, edges))
        trust, trust_bounds = _joined([edges.trust for edges in lists.values()])
        likes, like_bounds = _joined([edges.items for edges in lists.values()])
        keys = chain.from_iterable(chain((author,), edges.trust) for author, edges in lists.items())
        numbers = self.peers.numbers(keys)  # in the order in which they would arrive
        at = trust_bounds[:-1] + np.arange(len(lists))
        authors, columns = numbers[at], np.delete(numbers, at)
        self._state_many(authors, trust_bounds, columns, trust)
        items = self.items.numbers(chain.from_iterable(edges.items for edges in lists.values()))
        dates = (map(edges.item_days.get, edges.items, repeat(_NO_DAY)) for edges in lists.values())
        self.item_rows.put_many(
            authors,
            like_bounds,
            items.astype(np.int32),
            likes,
            np.fromiter(chain.from_iterable(dates), np.int32, len(likes)),
        )
        for number in authors.tolist():
            self._age.pop(number, None)
            self._age[number] = None
        self._tidy()
        return ()

    def set_trust(self, author: Hashable, peer: Hashable, weight: float) -> None:
        """Add, change or (weight 0) withdraw one trust edge of a stored author; its other edges stay.

        Raises:
            KeyError: The author has no stored list.
            WeightError: The weight is not zero and not a finite number above it.
            SelfEdgeError: The author would vouch for itself.
            TooManyEdgesError: The author states as many edges as the limits allow.
        """
        number = self.peers.find(author)
        if number not in self._age:
            raise KeyError(f"{author!r} has no stored list; give it one with `replace`")
        if author == peer:
            raise SelfEdgeError(f"{author!r} would vouch for itself")
        value = 0.0 if weight == 0 else checked_weight(weight, "trust", peer)
        columns, weights = self.trust_rows.row(number)[:2]
        target = self.peers.find(peer)
        kept = columns != target
        if value == 0.0:
            self._state_trust(number, columns[kept], weights[kept])
            return
        if target < 0 or kept.all():
            if len(columns) >= self.limits.trust_edges:
                raise TooManyEdgesError(f"{author!r} already states {len(columns)} trust edges; withdraw one first")
            target = self.peers.number(peer)
            self._state_trust(number, np.append(columns, target), np.append(weights, value))
        else:
            self._state_trust(number, columns, np.where(kept, weights, value))
        self._tidy()

    def remove(self, author: Hashable) -> bool:
        """Forget an author's list; others' edges to it remain. Returns whether there was one."""
        number = self.peers.find(author)
        if number not in self._age:
            return False
        self._forget(number)
        return True

    def set_hits(self, hits: Mapping[Hashable, float]) -> None:
        """Say how often walks visit each author (absent: never); when room is needed the fewest go first."""
        self._hits, self._hit_counts = hits, None

    def snapshot(self) -> GraphSnapshot:
        """Freeze the graph into sorted arrays, for analysis, export and oracles; walks do not need it."""
        authors = np.fromiter(self._age, np.int64, len(self._age))
        return GraphSnapshot.of(self.peers, self.items, authors, self.trust_rows, self.item_rows)

    def load(self, peers: KeyTable, items: KeyTable, trust: TrustRows, rows: ItemRows, authors: Ints) -> None:
        """Take checked rows in place of everything there is (`from_arrays` makes them)."""
        self.changes, self._hit_counts = ChangeLog(), None
        self.peers, self.items, self.trust_rows, self.item_rows = peers, items, trust, rows
        self._age = dict.fromkeys(authors.tolist())
        self._renumber_at = max(_RENUMBER_FROM, 2 * len(peers), 2 * len(items))

    def _check(self, author: Hashable, edges: AuthorEdges) -> None:
        if author in edges.trust:
            raise SelfEdgeError(f"{author!r} vouches for itself; drop that edge, or refuse the author's list")
        for kind, stated, allowed in (
            ("trust", len(edges.trust), self.limits.trust_edges),
            ("item", len(edges.items), self.limits.item_edges),
        ):
            if stated > allowed:
                raise TooManyEdgesError(
                    f"{author!r} states {stated} {kind} edges where at most {allowed} are accepted; "
                    "keep the strongest and publish again"
                )

    def _state_trust(self, number: int, columns: Ints, weights: Floats) -> None:
        self.trust_rows.state(number, columns, weights)
        self.changes.add(number)

    def _state_many(self, authors: Ints, bounds: Ints, columns: Ints, weights: Floats) -> None:
        """Take up those rows of trust edges, lying one behind the other, that say something new."""
        length = np.diff(bounds)
        news = self.trust_rows.lengths(authors) != length
        for place in np.flatnonzero(~news).tolist():
            part = slice(bounds[place], bounds[place + 1])
            news[place] = not self.trust_rows.states(authors[place], columns[part], weights[part])
        if not news.all():
            kept = np.repeat(news, length)
            authors, columns, weights = authors[news], columns[kept], weights[kept]
            bounds = np.concatenate(([0], np.cumsum(length[news])))
        self.trust_rows.state_many(authors, bounds, columns, weights)
        for number in authors.tolist():
            self.changes.add(number)

    def _evict(self) -> tuple[Hashable, ...]:
        if self._hit_counts is None or len(self._hit_counts) < len(self.peers):
            self._hit_counts = self._counted_hits()
        authors = np.fromiter(self._age, np.int64, len(self._age))
        victim = int(authors[np.argmin(self._hit_counts[authors])])  # the first of the fewest is the oldest
        self._forget(victim)
        return (self.peers.keys[victim],)

    def _counted_hits(self) -> Floats:
        """float64 [room for more peers than there are]: hits by number, infinite for pinned authors."""
        counts = np.zeros(2 * len(self.peers))
        for keys in (self._hits, dict.fromkeys(self._pinned, np.inf)):
            numbers = np.fromiter(map(self.peers.find, keys), np.int64, len(keys))
            hits = np.fromiter(keys.values(), np.float64, len(keys))
            counts[numbers[numbers >= 0]] = hits[numbers >= 0]
        return counts

    def _forget(self, number: int) -> None:
        self._state_trust(number, np.empty(0, np.int64), np.empty(0))
        self.item_rows.put(number, np.empty(0, np.int32), np.empty(0), np.empty(0, np.int32))
        del self._age[number]

    def _tidy(self) -> None:
        """Give numbers anew when most of them name nothing any more: an attacker's made-up keys must not pile up."""
        if max(len(self.peers), len(self.items)) < self._renumber_at:
            return
        authors = np.fromiter(self._age, np.int64, len(self._age))
        _, trust = self.trust_rows.gathered(authors)
        _, items = self.item_rows.gathered(authors)
        peers = np.union1d(authors, trust[0])
        listed = np.unique(items[0])
        self._renumber_at = max(_RENUMBER_FROM, 2 * len(peers), 2 * len(listed))
        if 2 * len(peers) > len(self.peers) and 2 * len(listed) > len(self.items):
            return
        peer_number, item_number = inverse(peers, len(self.peers)), inverse(listed, len(self.items))
        self.peers = KeyTable([self.peers.keys[number] for number in peers.tolist()])
        self.items = KeyTable([self.items.keys[number] for number in listed.tolist()])
        self.trust_rows.renumber(peers, peer_number)
        self.item_rows.renumber(peers, item_number)
        self._age = dict.fromkeys(peer_number[authors].tolist())
        self.changes, self._hit_counts = ChangeLog(), None


def _joined(lists: Sequence[Mapping[Hashable, float]]) -> tuple[Floats, Ints]:
    """Lay the weights of several lists one behind the other; return them, and where each begins and the last ends."""
    bounds = np.concatenate(([0], np.cumsum([len(stated) for stated in lists], dtype=np.int64)))
    weights = chain.from_iterable(stated.values() for stated in lists)
    return np.fromiter(weights, np.float64, int(bounds[-1])), bounds
