"""The statements of all known authors, on disk, bounded, and crash-safe.

SQLite in WAL mode; a batch is one transaction. What is stored was verified before, by `open_statement`. An author who
signed two different records with one version, or two hand-overs, has equivocated: both are kept as proof, what the
author said is dropped, and nothing more of that author is accepted. Knows no peers and no clock. Its tables begin with
`p2p_`, so the file may hold other tables too.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2p.errors import P2PError, RecordInvalid, Rejected, StoreCorrupted, StoreUnavailable
from p2p.handover import SignedHandOver
from p2p.identity import PeerId
from p2p.record import EQUIVOCATED, HANDED_OVER, SignedRecord, digest_of
from p2p.statement import Statement, open_statement
from p2p.store_index import Held, StoreIndex, Victims
from p2p.wire import unpack

Entry = tuple[PeerId, int, bytes]
"""What announcements name: author, version, digest. A hand-over has the version `HANDED_OVER`, a proof of equivocation
`EQUIVOCATED`."""

_PROOF_DIGEST = bytes(32)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_KEYS_PER_SCAN = 32
_SCHEMA = """
CREATE TABLE IF NOT EXISTS p2p_record (
    author BLOB PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL, record BLOB NOT NULL,
    place INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS p2p_equivocation (
    author BLOB PRIMARY KEY, version INTEGER NOT NULL, first BLOB NOT NULL, second BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS p2p_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""


class RecordStore:
    """Latest statement per author. Safe to use from any thread.

    Args:
        path: SQLite file, made when it is not there; `:memory:` keeps everything in memory.
        max_authors: one more evicts the author with the fewest hits, then the one updated longest ago.
        max_bytes: size of all statements, within which the same is evicted; proofs and SQLite's own come on top.
        max_proofs: proofs of equivocation kept; one more forgets the oldest.
        hits: how often the person's walks visit an author; never, when not given. Must not call the store.

    Raises:
        StoreCorrupted: the file is damaged or no database. It is left as it is.
        StoreUnavailable: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        max_authors: int = 10_000,
        max_bytes: int = 32 << 20,
        max_proofs: int = 2_000,
        hits: Callable[[PeerId], float] = lambda _: 0.0,
    ) -> None:
        self._path = path
        self._max_authors = max_authors
        self._max_bytes = max_bytes
        self._max_proofs = max_proofs
        self._hits = hits
        self._pinned: set[PeerId] = set()
        self._lock = threading.RLock()
        with self._translated():
            self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            with self._translated():
                self._index = self._load()
        except P2PError:
            self._db.close()
            raise

    def _load(self) -> StoreIndex:
        self._db.execute("PRAGMA journal_mode=WAL")
        # FULL: a device that forgot its last publication in a power cut could sign another record with that version.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self._corrupted(found)
        index = StoreIndex()
        for author, version, digest, wire, place in self._db.execute(
            "SELECT author, version, digest, record, place FROM p2p_record ORDER BY place"
        ):
            successor = self._check_row(author, version, digest, wire, place)
            index.put(PeerId(author), Held(version, digest, place, len(wire)), successor)
        for author, *wires in self._db.execute("SELECT author, first, second FROM p2p_equivocation ORDER BY rowid"):
            if any(self._opened(wire).author != author for wire in wires):
                raise self._corrupted("a proof of equivocation is not about its author")
            index.convicted[PeerId(author)] = None
        return index

    def _check_row(self, author: object, version: object, digest: object, wire: object, place: object) -> PeerId | None:
        """Refuse a row whose columns do not agree: a wrong digest would make honest authors look like equivocators.

        The signature was verified before the record was stored, and is again when it is read.

        Returns:
            The successor, if the row is a hand-over.
        """
        if not isinstance(wire, bytes) or not isinstance(place, int) or digest_of(wire) != digest:
            raise self._corrupted("a record is not the one that was stored")
        envelope = unpack(wire, {})
        body = unpack(envelope[0], {})
        handed_over = len(envelope) == 3
        if [author, version] != ([body[1], HANDED_OVER] if handed_over else body[1:3]):
            raise self._corrupted("a record is not that of its author and version")
        return PeerId(body[2]) if handed_over else None

    def _corrupted(self, why: object) -> StoreCorrupted:
        return StoreCorrupted(
            f"{self._path} is damaged ({why}); move it away, peers will send their records again. Nothing was deleted."
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # sqlite3 trips over its own message if that quotes the damage
            raise self._corrupted(error) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise self._corrupted(error) from error
            raise StoreUnavailable(f"{self._path} cannot be used now ({error}); its content is whole") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Change file and index together, or neither."""
        with self._lock:
            before = self._index.copy()
            try:
                with self._translated(), self._db:
                    yield self._db
            except BaseException:
                self._index = before
                raise

    def _rows(self, query: str, *arguments: object) -> list[tuple[bytes, ...]]:
        with self._lock, self._translated():
            return self._db.execute(query, arguments).fetchall()

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
        with self._transaction() as db:
            seen: dict[tuple[PeerId, int], Statement] = {}
            victims = Victims(self._index, self._pinned, self._hits)
            outcomes = []
            for statement in statements:
                twin = seen.setdefault((statement.author, statement.version), statement)
                outcomes.append(self._put(db, statement, twin, victims))
            return outcomes

    def _put(self, db: sqlite3.Connection, new: Statement, twin: Statement, victims: Victims) -> Rejected | None:
        author, index = new.author, self._index
        if author in index.convicted:
            return Rejected.EQUIVOCATION
        if twin.digest != new.digest:
            self._convict(db, twin.to_bytes(), new)
            return Rejected.EQUIVOCATION
        known = index.held.get(author)
        if known is not None and new.version <= known.version:
            if new.version == known.version and new.digest != known.digest:
                first = db.execute("SELECT record FROM p2p_record WHERE author = ?", (author,)).fetchone()[0]
                self._convict(db, first, new)
                return Rejected.EQUIVOCATION
            return Rejected.HANDED_OVER if new.version < known.version == HANDED_OVER else Rejected.STALE
        wire = new.to_bytes()
        if not self._make_room(db, author, len(wire), victims):
            return Rejected.FULL
        row = Held(new.version, new.digest, index.last_place + 1, len(wire))
        db.execute(
            "INSERT OR REPLACE INTO p2p_record VALUES (?, ?, ?, ?, ?)",
            (author, row.version, row.digest, wire, row.place),
        )
        index.put(author, row, new.successor if isinstance(new, SignedHandOver) else None)
        return None

    def _convict(self, db: sqlite3.Connection, first: bytes, second: Statement) -> None:
        author, index = second.author, self._index
        row = (author, second.version, first, second.to_bytes())
        db.execute("INSERT INTO p2p_equivocation VALUES (?, ?, ?, ?)", row)
        db.execute("DELETE FROM p2p_record WHERE author = ?", (author,))
        index.drop(author)
        index.convicted[author] = None
        if len(index.convicted) > self._max_proofs:
            oldest = next(iter(index.convicted))
            db.execute("DELETE FROM p2p_equivocation WHERE author = ?", (oldest,))
            del index.convicted[oldest]
            index.evicted[oldest] = EQUIVOCATED

    def _make_room(self, db: sqlite3.Connection, author: PeerId, n_bytes: int, victims: Victims) -> bool:
        """Evict until a statement fits; return whether it does."""
        index = self._index
        known = index.held.get(author)
        more = n_bytes - (0 if known is None else known.n_bytes)
        while len(index.held) + (known is None) > self._max_authors or index.n_bytes + more > self._max_bytes:
            victim = victims.next(but=author)
            if victim is None or victim[1] > victims.worth(author):
                return False
            db.execute("DELETE FROM p2p_record WHERE author = ?", (victim[0],))
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
        rows = self._rows("SELECT record FROM p2p_record WHERE author = ? AND version < ?", author, HANDED_OVER)
        return self._record(rows[0][0]) if rows else None

    def records(self) -> list[SignedRecord]:
        """Return the latest record of every author, the one updated longest ago first."""
        rows = self._rows("SELECT record FROM p2p_record WHERE version < ? ORDER BY place", HANDED_OVER)
        return [self._record(row[0]) for row in rows]

    def mentioning(self, peers: Iterable[PeerId]) -> list[SignedRecord]:
        """Return the records that name any of these peers, in whatever place."""
        keys, found = list(peers), dict[PeerId, SignedRecord]()
        for first in range(0, len(keys), _KEYS_PER_SCAN):
            batch = keys[first : first + _KEYS_PER_SCAN]
            anywhere = " OR ".join("instr(record, ?)" for _ in batch)
            rows = self._rows(f"SELECT record FROM p2p_record WHERE version < ? AND ({anywhere})", HANDED_OVER, *batch)
            found |= {record.author: record for record in (self._record(row[0]) for row in rows)}
        return list(found.values())

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
            rows = self._rows("SELECT first, second FROM p2p_equivocation WHERE author = ?", author)
            rows = rows or self._rows("SELECT record FROM p2p_record WHERE author = ?", author)
        return rows[0] if rows else ()

    def _record(self, data: object) -> SignedRecord:
        found = self._opened(data)
        if not isinstance(found, SignedRecord):
            raise self._corrupted("a hand-over stands where a record should")
        return found

    def _opened(self, data: object) -> Statement:
        try:
            if not isinstance(data, bytes):
                raise self._corrupted("a record is not made of bytes")
            return open_statement(data)
        except RecordInvalid as error:
            raise self._corrupted(error) from error

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
        with self._lock:
            if author in self._index.convicted:
                return EQUIVOCATED, _PROOF_DIGEST
            row = self._index.held.get(author)
            return None if row is None else (row.version, row.digest)

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
        rows = self._rows("SELECT first, second FROM p2p_equivocation WHERE author = ?", author)
        return (self._opened(rows[0][0]), self._opened(rows[0][1])) if rows else None

    # -- the device's own record -----------------------------------------------------------------

    def own_version(self) -> int:
        """Return the highest version known of the device's own record, 0 when there was none."""
        rows = self._rows("SELECT value FROM p2p_meta WHERE name = 'own_version'")
        return int(rows[0][0]) if rows else 0

    def raise_own_version(self, version: int) -> None:
        """Remember a version of the device's own record; a lower one than known changes nothing."""
        if version <= self.own_version():
            return
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO p2p_meta VALUES ('own_version', ?)", (version,))

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            self._db.close()
