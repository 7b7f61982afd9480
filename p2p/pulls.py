"""Which peer says that it has which record, and whom to ask for what next. No I/O, no clock of its own.

Claims are kept by peer, and each peer may hold only so many: a peer that lies about records it does not have wastes its
own room and its own requests, and never displaces what others say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import itemgetter

from p2p.identity import PeerId
from p2p.messages import MAX_BODIES
from p2p.store import Entry

_NEVER = float("inf")
_LONGEST_WAIT_S = 2.0
_welcome = itemgetter(0)
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
    wait_s: float = 0.0


class Pulls:
    """Claims of all peers, and the one pull that may be under way with each.

    The first news from a peer is pulled at once. What it says in the time after that, the gap, is asked for together,
    and the gap doubles while pulls follow each other: a storm of announcements costs some requests and not one each,
    and a few cost hardly any time. Whatever fills a request does not wait.

    Args:
        is_news: whether a record is still lacking.
        max_claims: claims of one peer that are kept.
        max_tries: how often a peer is asked for a record that it announced: a node of another kind may pass on
            announcements of records that it has to pull itself first.
        retry_s: time before the second try; it doubles with each.
        gap_s: least and most time between two pulls from one peer, unless the next one is full.
    """

    def __init__(
        self,
        is_news: Callable[[Entry], bool],
        max_claims: int,
        max_tries: int,
        retry_s: float,
        gap_s: tuple[float, float],
    ) -> None:
        self._gap_s = gap_s
        self._is_news = is_news
        self._max_claims = max_claims
        self._max_tries = max_tries
        self._retry_s = retry_s
        self._claims: dict[PeerId, dict[PeerId, _Claim]] = {}
        self._latest: dict[PeerId, tuple[float, float]] = {}  # when the latest pull began, and the gap after it
        self._ask_at: dict[PeerId, float] = {}  # when to ask a peer next, if no pull is under way
        self._soonest: float | None = None  # the first of these times; None when it must be worked out again
        self._held_up: dict[PeerId, None] = {}  # peers with a claim that another one is being asked about
        self._under_way: dict[PeerId, tuple[PeerId, ...]] = {}
        self._taken: set[PeerId] = set()

    def add(self, peer: PeerId, entry: Entry, welcome: float, now: float, *, pushed: bool) -> bool:
        """Note a claim of `peer`; return False if it has too many already.

        Args:
            peer: who says so.
            entry: what it says that it has.
            welcome: the higher, the sooner it is pulled.
            now: seconds since whenever.
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
        if peer not in self._under_way:
            at = self._ask_at[peer] = min(self._ask_at.get(peer, _NEVER), self._spaced(peer, claims, now))
            if self._soonest is not None and at < self._soonest:
                self._soonest = at
        return True

    def claimed(self, peer: PeerId, authors: Iterable[PeerId]) -> dict[PeerId, tuple[int, bool]]:
        """Return (version, pushed) of what a peer claims of some authors; (0, False) where it claims nothing."""
        claims = self._claims.get(peer, {})
        found = ((author, claims.get(author)) for author in authors)
        return {author: (0, False) if claim is None else (claim.version, claim.pushed) for author, claim in found}

    def due_at(self) -> float:
        """Return when `next_batch` may have something to ask for next; infinity when no peer has said anything."""
        if self._soonest is None:
            self._soonest = min(self._ask_at.values(), default=_NEVER)
        return self._soonest

    def due(self, now: float) -> list[PeerId]:
        """Return the peers for whom `next_batch` may have something now."""
        return [peer for peer, at in self._ask_at.items() if not self._is_early(at, now)]

    def _spaced(self, peer: PeerId, claims: dict[PeerId, _Claim], at: float) -> float:
        """Put a time off until there is some distance to the pull before, unless there is enough to fill another."""
        began, gap_s = self._latest.get(peer, (-_NEVER, 0.0))
        return began + gap_s if 0 <= at - began < gap_s and len(claims) < MAX_BODIES else at

    def _gap_after(self, peer: PeerId, now: float, count: int) -> float:
        """Return the gap after a pull of so many records that begins now."""
        began, gap_s = self._latest.get(peer, (-_NEVER, 0.0))
        if count == MAX_BODIES:
            return 0.0  # a long queue does not wait for more
        follows = gap_s and 0 <= now - began < 2.0 * gap_s
        return min(2.0 * gap_s, self._gap_s[1]) if follows else self._gap_s[0]

    def _is_early(self, at: float, now: float) -> bool:
        """Whether a time has yet to come; a clock that ran backwards must not postpone anything."""
        return 0 < at - now <= max(self._gap_s[1], _LONGEST_WAIT_S)

    def forget(self, peer: PeerId) -> None:
        """Forget a peer that is gone."""
        for of_peer in (self._claims, self._latest, self._ask_at):
            of_peer.pop(peer, None)
        self._held_up.pop(peer, None)
        self._release(peer)
        self._soonest = None

    def next_batch(self, peer: PeerId, now: float) -> tuple[tuple[PeerId, int], ...]:
        """Return what to ask `peer` for now, the most welcome authors first; they count as under way from now on.

        Empty while a pull from `peer` is under way, or the next one has to wait. An author is pulled from one peer at a
        time. Claims that others have fulfilled meanwhile are dropped.
        """
        claims = self._claims.get(peer)
        if not claims or peer in self._under_way or self._is_early(self._ask_at.get(peer, now), now):
            return ()
        while batch := self._most_welcome(claims, now):
            fulfilled = [a for a in batch if not self._is_news((a, claims[a].version, claims[a].digest))]
            if not fulfilled:
                break
            for author in fulfilled:
                del claims[author]
        if batch:
            self._latest[peer] = (now, self._gap_after(peer, now, len(batch)))
            self._soonest = None
            self._under_way[peer] = batch
            self._ask_at.pop(peer, None)
            self._taken.update(batch)
        else:
            self._see_to(peer, claims)
        return tuple((author, claims[author].version) for author in batch)

    def _see_to(self, peer: PeerId, claims: dict[PeerId, _Claim]) -> None:
        """Note when to ask a peer next."""
        self._soonest = None
        due = [claim.due for author, claim in claims.items() if author not in self._taken]
        if len(due) < len(claims):
            self._held_up[peer] = None
        if due:
            self._ask_at[peer] = self._spaced(peer, claims, min(due))
        else:
            self._ask_at.pop(peer, None)

    def _release(self, peer: PeerId) -> tuple[PeerId, ...]:
        """End the pull from a peer, if one is under way, and let others be asked for the same; return the authors."""
        authors = self._under_way.pop(peer, ())
        self._taken.difference_update(authors)
        self._soonest = None
        for other in self._held_up:
            if other not in self._under_way:
                self._ask_at[other] = sum(self._latest.get(other, (-_NEVER, 0.0)))
        self._held_up.clear()
        return authors

    def _most_welcome(self, claims: dict[PeerId, _Claim], now: float) -> tuple[PeerId, ...]:
        taken = self._taken
        due = [
            (claim.welcome, author)
            for author, claim in claims.items()
            if not 0 < claim.due - now <= claim.wait_s  # a clock that ran backwards must not postpone a try
            and author not in taken
        ]
        if len(due) > 1:  # most news come one by one
            due.sort(key=_welcome, reverse=True)
        return tuple(author for _, author in due[:MAX_BODIES])

    def ended(self, peer: PeerId, now: float) -> list[tuple[PeerId, bool]]:
        """The pull from `peer` has its answer, or failed. What it did not bring is due again later, or given up.

        Returns:
            (author, pushed) of the records given up: the peer named them, and does not send them.
        """
        given_up = []
        authors = self._release(peer)
        claims = self._claims.get(peer, {})
        for author in authors:
            claim = claims.get(author)
            if claim is None:
                continue
            # The forwarder may have to pull the record itself first; asking it again at once would not speed that up.
            claim.wait_s = min(self._retry_s * 2.0**claim.tries, _LONGEST_WAIT_S)
            claim.tries += 1
            claim.due = now + claim.wait_s
            fulfilled = not self._is_news((author, claim.version, claim.digest))
            limit = self._max_tries if claim.pushed else _UNPUSHED_TRIES
            if fulfilled or claim.tries >= limit:  # a comparison of stores finds it again, if it exists
                if not fulfilled:
                    given_up.append((author, claim.pushed))
                del claims[author]
        self._see_to(peer, claims)
        return given_up
