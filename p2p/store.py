"""The statements of all known authors, bounded and crash-safe.

A batch is one transaction. What is stored was verified before, by `open_statement`. An author who signed two different
records with one version, or two hand-overs, has equivocated: both are kept as proof, what the author said is dropped,
and nothing more of that author is accepted. Knows no peers and no clock; `p2p.tables` says where rows lie.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p2p.errors import P2PError, RecordInvalid, Rejected
from p2p.handover import SignedHandOver
from p2p.identity import PeerId
from p2p.record import EQUIVOCATED, HANDED_OVER, SignedRecord, digest_of
from p2p.sqlite_tables import SqliteTables
from p2p.statement import Opener, Statement, open_statement
from p2p.store_index import Held, StoreIndex, Victims
from p2p.tables import Proof, Row, Tables
from p2p.wire import unpack

Entry = tuple[PeerId, int, bytes]
"""What announcements name: author, version, digest. A hand-over has the version `HANDED_OVER`, a proof of equivocation
`EQUIVOCATED`."""

_PROOF_DIGEST = bytes(32)


def _unvisited(_: PeerId) -> float:
    return 0.0


class RecordStore:
    """Latest statement per author. Safe to use from any thread.

    Args:
        where: SQLite file, made when it is not there; `:memory:` keeps everything in memory; or tables of another kind.
        max_authors: one more evicts the author with the fewest hits, then the one updated longest ago.
        max_bytes: size of all statements, within which the same is evicted; proofs and SQLite's own come on top.
        max_proofs: proofs of equivocation kept; one more forgets the oldest.
        hits: how often the person's walks visit an author; never, when not given. Must not call the store.
        opener: verifies what is read; a simulation hands in one that remembers its answers.

    Raises:
        StoreCorrupted: the file is damaged or no database. It is left as it is.
        StoreUnavailable: the file cannot be opened.
    """

    def __init__(
        self,
        where: Path | str | Tables,
        *,
        max_authors: int = 10_000,
        max_bytes: int = 32 << 20,
        max_proofs: int = 2_000,
        hits: Callable[[PeerId], float] = _unvisited,
        opener: Opener = open_statement,
    ) -> None:
        self._max_authors = max_authors
        self._max_bytes = max_bytes
        self._max_proofs = max_proofs
        self._hits = hits
        self._open = opener
        self._pinned: set[PeerId] = set()
        self._lock = threading.RLock()
        self._tables: Tables = SqliteTables(where) if isinstance(where, Path | str) else where
        try:
            self._index = self._load()
        except P2PError:
            self._tables.close()
            raise

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs: all but the lock. Only tables in memory can be copied, and nobody may be writing."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = threading.RLock()

    def _load(self) -> StoreIndex:
        index = StoreIndex()
        for row in self._tables.rows():
            successor = self._check_row(row)
            index.put(PeerId(row.author), Held(row.version, row.digest, row.place, len(row.wire)), successor)
        for proof in self._tables.proofs():
            if any(self._opened(wire).author != proof.author for wire in (proof.first, proof.second)):
                raise self._tables.corrupted("a proof of equivocation is not about its author")
            index.convicted[PeerId(proof.author)] = None
        return index

    def _check_row(self, row: Row) -> PeerId | None:
        """Refuse a row whose columns do not agree: a wrong digest would make honest authors look like equivocators.

        The signature was verified before the record was stored, and is again when it is read.

        Returns:
            The successor, if the row is a hand-over.
        """
        sound = isinstance(row.wire, bytes) and isinstance(row.place, int)  # SQLite's columns hold any type
        if not sound or digest_of(row.wire) != row.digest:
            raise self._tables.corrupted("a record is not the one that was stored")
        envelope = unpack(row.wire, {})
        body = unpack(envelope[0], {})
        handed_over = len(envelope) == 3
        if [row.author, row.version] != ([body[1], HANDED_OVER] if handed_over else body[1:3]):
            raise self._tables.corrupted("a record is not that of its author and version")
        return PeerId(body[2]) if handed_over else None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Change tables and index together, or neither."""
        with self._lock:
            before = self._index.copy() if self._tables.can_fail else self._index
            try:
                with self._tables.transaction():
                    yield
            except BaseException:
                self._index = before
                raise

    # -- writing ---------------------------------------------------------------------------------

    def pin(self, author: PeerId) -> None:
        """Never evict this author: the device itself."""
        self._pinned.add(author)

    def put_many(self, statements: Iterable[Statement]) -> list[Rejected | None]:
        """Take verified statements in one transaction.

        Two different ones of one author and version convict the author even if a newer one is known.

        Returns:
            For each None when it was accepted, or why it was not. What is already known counts as STALE.

        Raises:
            StoreCorrupted, StoreUnavailable: nothing of the batch was stored.
        """
        with self._transaction():
            seen: dict[tuple[PeerId, int], Statement] = {}
            victims = Victims(self._index, self._pinned, self._hits)
            outcomes = []
            for statement in statements:
                twin = seen.setdefault((statement.author, statement.version), statement)
                outcomes.append(self._put(statement, twin, victims))
            return outcomes

    def _put(self, new: Statement, twin: Statement, victims: Victims) -> Rejected | None:
        author, index = new.author, self._index
        if author in index.convicted:
            return Rejected.EQUIVOCATION
        if twin.digest != new.digest:
            self._convict(twin.to_bytes(), new)
            return Rejected.EQUIVOCATION
        known = index.held.get(author)
        if known is not None and new.version <= known.version:
            if new.version == known.version and new.digest != known.digest:
                first = self._tables.wire(author)
                assert first is not None  # the index names it
                self._convict(first, new)
                return Rejected.EQUIVOCATION
            return Rejected.HANDED_OVER if new.version < known.version == HANDED_OVER else Rejected.STALE
        wire = new.to_bytes()
        if not self._make_room(author, len(wire), victims):
            return Rejected.FULL
        held = Held(new.version, new.digest, index.last_place + 1, len(wire))
        self._tables.put(Row(author, held.version, held.digest, wire, held.place))
        index.put(author, held, new.successor if isinstance(new, SignedHandOver) else None)
        return None

    def _convict(self, first: bytes, second: Statement) -> None:
        author, index = second.author, self._index
        self._tables.put_proof(Proof(author, second.version, first, second.to_bytes()))
        self._tables.drop(author)
        index.drop(author)
        index.convicted[author] = None
        if len(index.convicted) > self._max_proofs:
            oldest = next(iter(index.convicted))
            self._tables.drop_proof(oldest)
            del index.convicted[oldest]
            index.evicted[oldest] = EQUIVOCATED

    def _make_room(self, author: PeerId, n_bytes: int, victims: Victims) -> bool:
        """Evict until a statement fits; return whether it does."""
        index = self._index
        known = index.held.get(author)
        more = n_bytes - (0 if known is None else known.n_bytes)
        while len(index.held) + (known is None) > self._max_authors or index.n_bytes + more > self._max_bytes:
            victim = victims.next(but=author)
            if victim is None or victim[1] > victims.worth(author):
                return False
            self._tables.drop(victim[0])
            index.evict(victim[0])
        return True

    def take_evicted(self) -> dict[PeerId, int]:
        """Return the authors evicted since the last call, each with the version that went, `EQUIVOCATED` for proofs."""
        with self._lock:
            evicted, self._index.evicted = self._index.evicted, {}
            return evicted

    # -- reading ---------------------------------------------------------------------------------

    def get(self, author: PeerId) -> SignedRecord | None:
        """Return an author's latest record; None for who handed over."""
        with self._lock:
            wire = self._tables.wire(author)
            handed_over = author in self._index.successors
        return None if wire is None or handed_over else self._record(wire)

    def records(self) -> list[SignedRecord]:
        """Return the latest record of every author, the one updated longest ago first."""
        with self._lock:
            wires = self._tables.wires()
        return [self._record(wire) for wire in wires]

    def mentioning(self, peers: Iterable[PeerId]) -> list[SignedRecord]:
        """Return the records that name any of these peers, in whatever place."""
        with self._lock:
            wires = self._tables.wires_with(list(peers))
        return [self._record(wire) for wire in wires]

    def successor(self, author: PeerId) -> PeerId | None:
        """Return whom an author handed over to."""
        with self._lock:
            return self._index.successors.get(author)

    def successors(self) -> dict[PeerId, PeerId]:
        """Return everyone who handed over, and to whom."""
        with self._lock:
            return dict(self._index.successors)

    def wire(self, author: PeerId) -> tuple[bytes, ...]:
        """Return what peers are sent about an author: its statement, or the two that convict it, or nothing."""
        with self._lock:
            proof = self._tables.proof(author)
            wire = None if proof is not None else self._tables.wire(author)
        return proof or (() if wire is None else (wire,))

    def _record(self, data: object) -> SignedRecord:
        found = self._opened(data)
        if not isinstance(found, SignedRecord):
            raise self._tables.corrupted("a hand-over stands where a record should")
        return found

    def _opened(self, data: object) -> Statement:
        try:
            if not isinstance(data, bytes):
                raise self._tables.corrupted("a record is not made of bytes")
            return self._open(data)
        except RecordInvalid as error:
            raise self._tables.corrupted(error) from error

    def summary(self) -> list[Entry]:
        """Return (author, version, digest) of every statement."""
        with self._lock:
            return [(author, row.version, row.digest) for author, row in self._index.held.items()]

    def entries(self) -> list[Entry]:
        """Return what peers may pull: the summary, and an entry of version `EQUIVOCATED` for each proof."""
        with self._lock:
            return [*self.summary(), *((author, EQUIVOCATED, _PROOF_DIGEST) for author in self._index.convicted)]

    def entry(self, author: PeerId) -> tuple[int, bytes] | None:
        """Return (version, digest) of an author's statement; version `EQUIVOCATED` if there is a proof instead."""
        index = self._index  # no lock: it is asked ten times for each record that comes, and reads one dict
        row = index.held.get(author)
        if row is not None:
            return row[:2]
        return (EQUIVOCATED, _PROOF_DIGEST) if author in index.convicted else None  # of whom nothing is held

    def __len__(self) -> int:
        return len(self._index.held)

    @property
    def n_bytes(self) -> int:
        """Size of all statements."""
        return self._index.n_bytes

    def distrusted(self) -> frozenset[PeerId]:
        """Return the authors who equivocated."""
        with self._lock:
            return frozenset(self._index.convicted)

    def proof(self, author: PeerId) -> tuple[Statement, Statement] | None:
        """Return the two statements that convict an author."""
        with self._lock:
            proof = self._tables.proof(author)
        return None if proof is None else (self._opened(proof[0]), self._opened(proof[1]))

    # -- the device's own record -----------------------------------------------------------------

    def own_version(self) -> int:
        """Return the highest version known of the device's own record, 0 when there was none."""
        with self._lock:
            return self._tables.own_version()

    def raise_own_version(self, version: int) -> None:
        """Remember a version of the device's own record; a lower one than known changes nothing."""
        if version <= self.own_version():
            return
        with self._transaction():
            self._tables.set_own_version(version)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            self._tables.close()
