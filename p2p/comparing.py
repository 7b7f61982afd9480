"""Anti-entropy: which peers to compare stores with, and what to say. No I/O, no clock of its own.

A comparison names what the other side holds and this one lacks, among the authors that both want: what only one of
them wants would differ for ever. It starts with a small table, of one cell where nothing was found the last time, and
grows it while the difference does not fit. Whoever is asked, and sees that the asker holds what it lacks itself, asks
back, so both sides end up equal. In a quiet network comparisons with random peers become rarer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np

from p2p.gossip_config import GossipConfig
from p2p.holdings import EVERYONE, Holdings, Interest, Selection, ShortNames, both, interest_of, read_interest
from p2p.identity import PeerId
from p2p.messages import (
    MAX_ENTRIES,
    MAX_INTEREST,
    Compare,
    Comparison,
    Entries,
    MoreCells,
    TellInterest,
    UnknownInterest,
)
from p2p.reconcile import CELL_BYTES, FIRST_CELLS, MAX_CELLS, Cells, Toggle, cells_of, peel, toggled
from p2p.store import Entry

Frontier = Callable[[], Collection[PeerId] | None]
"""The authors whose records are wanted; None for everyone's."""

Question = Compare | TellInterest

_ENTRY_BYTES = 78
_POKED_PEERS = 3  # news spread exponentially, so few are enough
_MAX_DOUBLINGS = 16
_DRIFT = 0.05  # share of the frontier that may change before peers are told


@dataclass(slots=True)
class _Peer:
    """A connected peer.

    Attributes:
        busy: whether an answer is awaited.
        compared_at: when the last comparison began.
        wanted_at: when another one is due, as soon as the gap between two allows; None when none is.
        wait_s: how long before that it was said.
        failures: comparisons in a row that it did not answer.
        nonce, n_cells: of the table sent last.
        told: digest of the interest that it knows of us.
        theirs: whose records it wants, as far as we know.
        may_tell: whether interests were not yet exchanged within this comparison.
        first_cells: size of the table that the next comparison begins with.
        shared: what `wanted_by_both` returned last, by who asks, and the two interests that it follows from.
        last_difference: stands for its set and ours when they differed last; the same difference needs no answer.
    """

    busy: bool
    compared_at: float
    wanted_at: float | None = None
    wait_s: float = 0.0
    failures: int = 0
    nonce: int = 0
    n_cells: int = FIRST_CELLS
    told: bytes = b""
    theirs: Interest = EVERYONE
    may_tell: bool = True
    first_cells: int = FIRST_CELLS
    shared: dict[bool, tuple[Interest, Interest, bytes, ShortNames | None]] = field(default_factory=dict)
    last_difference: tuple[int, int] = (0, 0)

    def wanted_by_both(self, mine: Interest, i_ask: bool) -> tuple[bytes, ShortNames | None]:
        """Return what the peer and I both want, see `both`; worked out anew when one of us wants something else."""
        asker, answerer = (mine, self.theirs) if i_ask else (self.theirs, mine)
        known = self.shared.get(i_ask)
        if known is None or known[0] is not asker or known[1] is not answerer:
            self.shared[i_ask] = known = (asker, answerer, *both(asker, answerer))
        return known[2:]


class Comparing:
    """Comparisons with all connected peers.

    Args:
        holdings: what the device holds.
        frontier: the authors it wants.
        rng: chooses peers and nonces.
        config: pace.
        now: seconds since whenever.
        toggle: fills tables; see `p2p.reconcile`.
    """

    def __init__(
        self,
        holdings: Holdings,
        frontier: Frontier,
        rng: np.random.Generator,
        config: GossipConfig,
        now: float,
        toggle: Toggle = toggled,
    ) -> None:
        self._toggle = toggle
        self._holdings = holdings
        self._frontier = frontier
        self._rng = rng
        self._config = config
        self._peers: dict[PeerId, _Peer] = {}
        self._wanting: dict[PeerId, _Peer] = {}  # those with whom a comparison is due, now or later
        self._frozen: frozenset[PeerId] | None = None
        self._authors: frozenset[PeerId] | None = None
        self._mine = EVERYONE
        self._interval_s = config.anti_entropy_s
        self._last_at = now
        self._refresh_interest()

    # -- asking ----------------------------------------------------------------------------------

    def meet(self, peer: PeerId, now: float) -> Question:
        """Take a new peer and return what to ask it."""
        self._wanting.pop(peer, None)
        self._peers[peer] = _Peer(busy=True, compared_at=now)
        self._interval_s = self._config.anti_entropy_s
        return self._begin(self._peers[peer])

    def part(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        self._peers.pop(peer, None)
        self._wanting.pop(peer, None)

    def poke(self, now: float, wait_s: float, peers: int = 1) -> None:
        """Compare with a few random peers after some time: they see what is new here and ask back."""
        for peer in self._random(peers):
            self._want(peer, now, wait_s)

    def found(self, now: float, wait_s: float) -> None:
        """Something had come by comparison alone: compare often again, and with several peers after some time."""
        self._interval_s = self._config.anti_entropy_s
        self.poke(now, wait_s, _POKED_PEERS)

    def due(self, now: float) -> list[tuple[PeerId, Question]]:
        """Return what to ask whom now."""
        if self._peers and passed(now, self._last_at, self._interval_s):
            self._last_at = now
            self._interval_s = min(2 * self._interval_s, self._config.anti_entropy_max_s)
            self.poke(now, 0.0)
        if self._refresh_interest():
            self.found(now, 0.0)
        requests = []
        for peer in [peer for peer, state in self._wanting.items() if self._is_due(state, now)]:
            state = self._wanting.pop(peer)
            state.wanted_at, state.busy, state.compared_at = None, True, now
            requests.append((peer, self._begin(state)))
        return requests

    def due_at(self, now: float) -> float:
        """Return when `due` has something to ask next, as far as is known now; infinity without peers."""
        if self._has_moved(self._frontier()):
            return now
        regular = self._last_at + self._interval_s if self._peers else math.inf
        gap_s = self._config.compare_gap_s
        wanted = (
            max(state.wanted_at, state.compared_at + gap_s)
            for state in self._wanting.values()
            if state.wanted_at is not None and not state.busy
        )
        return min(regular, min(wanted, default=math.inf))

    def _is_due(self, state: _Peer, now: float) -> bool:
        if state.busy or state.wanted_at is None:
            return False
        waits = 0 < state.wanted_at - now <= state.wait_s  # a clock that ran backwards postpones nothing
        return not waits and passed(now, state.compared_at, self._config.compare_gap_s)

    def _begin(self, state: _Peer) -> Question:
        state.n_cells, state.may_tell = state.first_cells, True
        return self._tell(state) if state.told != self._mine.digest else self._table(state)

    def _tell(self, state: _Peer) -> TellInterest:
        state.may_tell = False
        return TellInterest(self._mine.told)

    def _table(self, state: _Peer) -> Compare:
        state.nonce = int(self._rng.integers(1 << 63))
        digest, names = state.wanted_by_both(self._mine, i_ask=True)
        cells = cells_of(self._holdings.select(names).ids, state.nonce, state.n_cells, self._toggle)
        return Compare(state.nonce, digest, cells.to_bytes())

    def on_told(self, peer: PeerId, told: TellInterest, theirs: bytes | None) -> Compare | None:
        """A peer took note of an interest and told its own: compare now.

        Raises:
            ValueError: theirs is malformed.
        """
        interest, known = read_interest(theirs), read_interest(told.interest)
        state = self._peers.get(peer)
        if state is None:
            return None
        state.told, state.theirs = known.digest, interest
        return self._table(state)

    def on_comparison(
        self, peer: PeerId, answer: Comparison
    ) -> tuple[tuple[Entry, ...], Compare | TellInterest | None]:
        """Return what a peer says that it has, and what to ask it next."""
        state = self._peers.get(peer)
        if state is None:
            return (), None
        match answer:
            case Entries(entries):
                state.busy, state.failures = False, 0
                state.first_cells = FIRST_CELLS if entries else 1
                return entries, None
            case MoreCells(n_cells) if n_cells > state.n_cells:
                state.n_cells = n_cells
                return (), self._table(state)
            case UnknownInterest() if state.may_tell:
                return (), self._tell(state)
        state.busy = False  # it contradicts itself; the next comparison may do better
        return (), None

    def failed(self, peer: PeerId, now: float) -> None:
        """A peer did not answer; it is asked again later, and later each time."""
        state = self._peers.get(peer)
        if state is not None:
            wait_s = min(self._config.compare_gap_s * 2.0**state.failures, self._config.anti_entropy_max_s)
            state.busy, state.failures = False, min(state.failures + 1, _MAX_DOUBLINGS)
            self._want(peer, now, wait_s)

    # -- answering -------------------------------------------------------------------------------

    def take_interest(self, peer: PeerId, told: TellInterest) -> bytes | None:
        """Note which authors a peer wants, and return which ones we want.

        Raises:
            ValueError: the interest is malformed.
        """
        interest = read_interest(told.interest)
        if peer in self._peers:
            self._peers[peer].theirs, self._peers[peer].told = interest, self._mine.digest
        return self._mine.told

    def answer(self, peer: PeerId, asked: Compare, now: float) -> Comparison:
        """Answer a comparison, from the records of authors that both sides want."""
        state = self._peers.get(peer)
        digest, names = state.wanted_by_both(self._mine, i_ask=False) if state else both(EVERYONE, self._mine)
        if digest != asked.interest:
            return UnknownInterest()
        ours = self._holdings.select(names)
        table = cells_of(ours.ids, asked.nonce, len(asked.cells) // CELL_BYTES, self._toggle)
        if table.to_bytes() == asked.cells:  # equal stores, as most are
            return Entries(())
        theirs = Cells.from_bytes(asked.cells)
        difference = peel(table.minus(theirs), asked.nonce, self._toggle)
        if difference is not None:
            if len(difference.theirs):
                self._ask_back(peer, theirs, table, now)
            return Entries(tuple(ours.named(difference.ours)[:MAX_ENTRIES]))
        n_cells = _more_cells(len(theirs), len(ours), int(theirs.counts[0]))
        if n_cells is not None:
            return MoreCells(n_cells)
        if theirs.counts[0]:
            self._ask_back(peer, theirs, table, now)
        return Entries(tuple(_shuffled(ours, self._rng)[:MAX_ENTRIES]))

    def _ask_back(self, peer: PeerId, theirs: Cells, ours: Cells, now: float) -> None:
        state = self._peers.get(peer)
        # The first cell holds every id, so its xor stands for the whole set under any nonce.
        difference = (int(theirs.ids[0]), int(ours.ids[0]))
        if state is not None and difference != state.last_difference:
            state.last_difference = difference
            self._want(peer, now, 0.0)

    # -- inside ----------------------------------------------------------------------------------

    def _want(self, peer: PeerId, now: float, wait_s: float) -> None:
        state = self._peers[peer]
        self._wanting[peer] = state
        if state.wanted_at is None or now + wait_s < state.wanted_at:
            state.wanted_at, state.wait_s = now + wait_s, wait_s

    def _random(self, count: int) -> list[PeerId]:
        peers = list(self._peers)
        if count == 1 and peers:  # the usual case, a tenth of the time
            return [peers[int(self._rng.random() * len(peers))]]
        return [peers[place] for place in self._rng.permutation(len(peers))[:count].tolist()]

    def _has_moved(self, wanted: Collection[PeerId] | None) -> bool:
        """Whether a frontier may be another than before: asked at every tick, and it seldom is."""
        return self._authors is not None if wanted is None else wanted is not self._frozen

    def _refresh_interest(self) -> bool:
        """Take up a frontier that moved; return whether it did. Small drifts wait, for telling it costs bytes."""
        wanted = self._frontier()
        if not self._has_moved(wanted):
            return False
        self._frozen = wanted if isinstance(wanted, frozenset) else None
        if wanted is None:
            self._authors, self._mine = None, EVERYONE
            return True
        authors = frozenset(wanted) if len(wanted) <= MAX_INTEREST else frozenset(list(wanted)[:MAX_INTEREST])
        if self._authors is not None and len(authors ^ self._authors) <= _DRIFT * len(self._authors):
            return False
        self._authors, self._mine = authors, read_interest(interest_of(authors))
        return True


def passed(now: float, since: float, seconds: float) -> bool:
    """Return whether a time has passed; a clock that ran backwards must not silence anything."""
    return not 0 <= now - since < seconds


def _more_cells(n_cells: int, n_ours: int, n_theirs: int) -> int | None:
    """Return how many cells to try next, or None when naming everything costs less."""
    at_least = abs(n_ours - n_theirs)
    following = min(MAX_CELLS, max(4 * n_cells, at_least + at_least // 2, FIRST_CELLS))
    if n_cells >= MAX_CELLS or following * CELL_BYTES >= n_ours * _ENTRY_BYTES:
        return None
    return following


def _shuffled(selection: Selection, rng: np.random.Generator) -> list[Entry]:
    """Return all entries in random order, so that a store too large for one answer is learnt over several."""
    return selection.at(rng.permutation(len(selection)))
