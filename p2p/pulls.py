"""Which peer says that it has which record, and whom to ask for what next. No I/O, no clock of its own.

Claims are kept by peer, and each peer may hold only so many: a peer that lies about records it does not have wastes its
own room and its own requests, and never displaces what others say.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from p2p.identity import PeerId
from p2p.messages import MAX_BODIES
from p2p.store import Entry

_LONGEST_WAIT_S = 2.0
_UNPUSHED_TRIES = 2  # who names a record in a comparison of stores holds it already


@dataclass(slots=True)
class _Claim:
    """A peer's word that it holds a record newer than ours."""

    version: int
    digest: bytes
    welcome: float
    pushed: bool
    due: float
    tries: int = 0


class Pulls:
    """Claims of all peers, and the one pull that may be under way with each.

    Args:
        is_news: whether a record is still lacking.
        max_claims: claims of one peer that are kept.
        max_tries: how often a peer is asked for a record whose announcement it passed on, for it may have to pull the
            record itself first.
        retry_s: time before the second try; it doubles with each.
    """

    def __init__(self, is_news: Callable[[Entry], bool], max_claims: int, max_tries: int, retry_s: float) -> None:
        self._is_news = is_news
        self._max_claims = max_claims
        self._max_tries = max_tries
        self._retry_s = retry_s
        self._claims: dict[PeerId, dict[PeerId, _Claim]] = {}
        self._under_way: dict[PeerId, frozenset[PeerId]] = {}
        self._taken: set[PeerId] = set()

    def add(self, peer: PeerId, entry: Entry, welcome: float, now: float, *, pushed: bool) -> bool:
        """Note a claim of `peer`; return False if it has too many already.

        Args:
            peer: who says so.
            entry: what it says that it has.
            welcome: the higher, the sooner it is pulled.
            now: Unix seconds.
            pushed: whether everyone is told, so that nobody needs to be told by us.
        """
        author, version, digest = entry
        claims = self._claims.setdefault(peer, {})
        known = claims.get(author)
        if known is not None and version <= known.version:
            return True
        if known is None and len(claims) >= self._max_claims:
            return False
        claims[author] = _Claim(version, digest, welcome, pushed, now)
        return True

    def claimed(self, peer: PeerId, author: PeerId) -> tuple[int, bool] | None:
        """Return (version, pushed) of a claim."""
        claim = self._claims.get(peer, {}).get(author)
        return None if claim is None else (claim.version, claim.pushed)

    @property
    def idle(self) -> bool:
        """Whether no peer is known to hold anything that is lacking."""
        return not any(self._claims.values())

    def forget(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        self._claims.pop(peer, None)
        self._taken -= self._under_way.pop(peer, frozenset())

    def next_batch(self, peer: PeerId, now: float) -> tuple[tuple[PeerId, int], ...]:
        """Return what to ask `peer` for now, the most welcome authors first; they count as under way from now on.

        Empty while a pull from `peer` is under way. An author is pulled from one peer at a time. Claims that others
        have fulfilled meanwhile are dropped.
        """
        claims = self._claims.get(peer)
        if not claims or peer in self._under_way:
            return ()
        while batch := self._most_welcome(claims, now):
            fulfilled = [a for a in batch if not self._is_news((a, claims[a].version, claims[a].digest))]
            if not fulfilled:
                break
            for author in fulfilled:
                del claims[author]
        if batch:
            self._under_way[peer] = frozenset(batch)
            self._taken.update(batch)
        return tuple((author, claims[author].version) for author in batch)

    def _most_welcome(self, claims: dict[PeerId, _Claim], now: float) -> tuple[PeerId, ...]:
        due = [a for a, c in claims.items() if self._is_due(c, now) and a not in self._taken]
        if len(due) < 2:  # most news come one by one
            return tuple(due)
        return tuple(heapq.nlargest(MAX_BODIES, due, key=lambda author: claims[author].welcome))

    def _is_due(self, claim: _Claim, now: float) -> bool:
        return not 0 < claim.due - now <= self._wait_s(claim)  # a clock that ran backwards must not postpone a try

    def _wait_s(self, claim: _Claim) -> float:
        # The forwarder may have to pull the record itself first; asking it again at once would not speed that up.
        return float(min(self._retry_s * 2 ** max(0, claim.tries - 1), _LONGEST_WAIT_S))

    def ended(self, peer: PeerId, now: float) -> list[tuple[PeerId, bool]]:
        """The pull from `peer` has its answer, or failed. What it did not bring is due again later, or given up.

        Returns:
            (author, pushed) of the records given up: the peer named them, and does not send them.
        """
        given_up = []
        authors = self._under_way.pop(peer, frozenset())
        self._taken -= authors
        claims = self._claims.get(peer, {})
        for author in authors & claims.keys():
            claim = claims[author]
            claim.tries += 1
            claim.due = now + self._wait_s(claim)
            fulfilled = not self._is_news((author, claim.version, claim.digest))
            limit = self._max_tries if claim.pushed else _UNPUSHED_TRIES
            if fulfilled or claim.tries >= limit:  # a comparison of stores finds it again, if it exists
                if not fulfilled:
                    given_up.append((author, claim.pushed))
                del claims[author]
        return given_up
