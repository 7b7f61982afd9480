"""What becomes of records that peers send: every check between the wire and the store. No I/O but the store's.

Size, schema, signature, that somebody asked, freshness, the author's update rate, and what the store itself refuses.
Each refusal is counted by its reason; what was refused for good is not asked for again for a while.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from p2p.counters import Counters
from p2p.errors import RecordInvalid, Rejected
from p2p.gossip_config import GossipConfig
from p2p.identity import PeerId
from p2p.quota import Quota
from p2p.record import EQUIVOCATED, HANDED_OVER, SignedRecord
from p2p.statement import Opener, Statement, open_statement
from p2p.store import Entry, RecordStore

_MAX_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an answer.

    Attributes:
        new: records that are new.
        convicted: authors whom they convict of equivocation.
        refused: why others were refused.
    """

    new: list[Statement]
    convicted: list[PeerId]
    refused: list[Rejected]


class Intake:
    """Checks records and stores those that pass.

    Args:
        me: this device.
        store: its records.
        clock: Unix seconds.
        config: limits.
        counters: where refusals are counted.
        opener: reads and verifies what came.
    """

    def __init__(
        self,
        me: PeerId,
        store: RecordStore,
        clock: Callable[[], float],
        config: GossipConfig,
        counters: Counters,
        opener: Opener = open_statement,
    ) -> None:
        self._open = opener
        self._me = me
        self._store = store
        self._clock = clock
        self._config = config
        self._counters = counters
        self._from_author = Quota(config.updates)
        self._not_again: OrderedDict[PeerId, tuple[int, float]] = OrderedDict()
        self._refused: list[Rejected] = []

    # -- before a record is pulled ---------------------------------------------------------------

    def is_news(self, entry: Entry) -> bool:
        """Return whether the store lacks a record that somebody says to have."""
        return self._is_news(entry, self._store.entry(entry[0]))

    def is_wanted(self, entry: Entry) -> bool:
        """Return whether a record is news, and the author's update rate allows it; if not that, it is counted."""
        author, version, _ = entry
        known = self._store.entry(author)
        if not self._is_news(entry, known):
            return False
        if not _is_update(known, version) or self._from_author.allows(author, self._clock()):
            return True
        self._refuse(Rejected.RATE)
        return False

    def _is_news(self, entry: Entry, known: tuple[int, bytes] | None) -> bool:
        author, version, digest = entry
        if known is not None and (version < known[0] or (version, digest) == known or known[0] == EQUIVOCATED):
            return False  # the same version with another digest is news: it may prove equivocation
        refused = self._not_again.get(author)
        return refused is None or version > refused[0] or self._clock() >= refused[1]

    # -- after it came ---------------------------------------------------------------------------

    def take(self, bodies: Iterable[bytes], asked: Collection[PeerId]) -> Taken:
        """Check and store the answer to a pull.

        Raises:
            StoreUnavailable: nothing was stored.
        """
        self._refused = []
        opened = [signed for signed in (self._opened(body, asked) for body in bodies) if signed is not None]
        new, convicted = self._put(self._within_quota(_latest(opened)))
        return Taken(new, convicted, self._refused)

    def relay(self, records: Iterable[Statement]) -> tuple[list[Statement], list[PeerId]]:
        """Store verified records that nobody asked for; return those that are new, and the authors they convict."""
        return self._put([signed for signed in records if not self._is_early(signed)])

    def _opened(self, body: bytes, asked: Collection[PeerId]) -> Statement | None:
        """Check what can be said of one record by itself: size, schema, signature, freshness, and that it was asked."""
        try:
            signed = self._open(body)
        except RecordInvalid as error:
            self._refuse(error.reason)
            return None
        author, version = signed.author, signed.version
        if author not in asked:
            self._refuse(Rejected.UNASKED)
            return None
        if author == self._me and isinstance(signed, SignedRecord):
            # Before anything may refuse it: I signed it, so I must stay above it.
            self._store.raise_own_version(version)
        if self._store.entry(author) == (version, signed.digest):
            return None  # the usual answer to the question for my own record
        return None if self._is_early(signed) else signed

    def _is_early(self, signed: Statement) -> bool:
        if not isinstance(signed, SignedRecord) or signed.record.issued_at <= self._clock() + self._config.max_ahead_s:
            return False
        self._refuse(Rejected.FUTURE)
        self.remember_refused(signed.author, signed.version)
        return True

    def _within_quota(self, records: Sequence[Statement]) -> list[Statement]:
        """Leave out updates of authors who publish too often. Proofs of equivocation and first records pass.

        Args:
            records: for each author one record, or the two of a proof.
        """
        updates = {s.author for s in records if _is_update(self._store.entry(s.author), s.version)}
        if not updates:
            return list(records)  # all are first ones, as most are to a device that is new
        now, welcome = self._clock(), []
        stated = Counter(signed.author for signed in records)
        for signed in records:
            author = signed.author
            counts = stated[author] < 2 and author in updates
            if counts and not self._from_author.take(author, now):
                self._refuse(Rejected.RATE)
            else:
                welcome.append(signed)
        return welcome

    def _put(self, records: Sequence[Statement]) -> tuple[list[Statement], list[PeerId]]:
        """Store records; return those that are new, and the authors whom they convict."""
        before = self._store.distrusted()
        outcomes = self._store.put_many(records)
        new = []
        for signed, refused in zip(records, outcomes, strict=True):
            if refused is None:
                new.append(signed)
                continue
            self._refuse(refused)
            if refused is Rejected.FULL:
                self.remember_refused(signed.author, signed.version)
        convicted = self._store.distrusted() - before
        return [signed for signed in new if signed.author not in convicted], sorted(convicted)

    def remember_refused(self, author: PeerId, version: int) -> None:
        """Do not ask for this version of an author, or an older one, for a while."""
        self._not_again[author] = (version, self._clock() + self._config.refused_s)
        self._not_again.move_to_end(author)
        if len(self._not_again) > _MAX_REMEMBERED:
            self._not_again.popitem(last=False)

    def _refuse(self, reason: Rejected) -> None:
        self._counters.rejected[reason] += 1
        self._refused.append(reason)


def _is_update(known: tuple[int, bytes] | None, version: int) -> bool:
    return known is not None and known[0] < version < HANDED_OVER


def _latest(records: Sequence[Statement]) -> Sequence[Statement]:
    """Return for each author two different records of one version, if there are such, or else the newest record.

    So whoever answers with an author's whole history, or one record many times, uses up one update and not all.
    """
    if len({signed.author for signed in records}) == len(records):
        return records  # one of each: the usual answer
    versions: dict[PeerId, dict[int, dict[bytes, Statement]]] = {}
    for signed in records:
        of_author = versions.setdefault(signed.author, {})
        of_author.setdefault(signed.version, {})[signed.digest] = signed
    kept: list[Statement] = []
    for of_author in versions.values():
        proofs = (list(twins.values())[:2] for twins in of_author.values() if len(twins) > 1)
        kept.extend(next(proofs, list(of_author[max(of_author)].values())))
    return kept
