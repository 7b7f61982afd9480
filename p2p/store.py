"""The records of all known authors, on disk, bounded, and crash-safe.

SQLite in WAL mode; a batch of records is one transaction. What is stored was verified before, by `open_record`. An
author who signed two different records with one version has equivocated: both are kept as proof, what the author said
is dropped, and nothing more of that author is accepted. Knows no peers and no clock. Its tables begin with `p2p_`, so
the file may hold other tables too.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgpack

from p2p.errors import P2PError, RecordInvalid, Rejected, StoreCorrupted, StoreUnavailable
from p2p.identity import PeerId
from p2p.record import MAX_VERSION, SignedRecord, digest_of, open_record

Entry = tuple[PeerId, int, bytes]
"""What announcements name: author, version, digest."""

EQUIVOCATED = MAX_VERSION + 1
"""The version under which a proof of equivocation is named: above every record, and equal on all devices."""

_PROOF_DIGEST = bytes(32)
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
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


@dataclass(slots=True)
class _Index:
    """What is on disk, in memory: authors in the order of their last update, equivocators in that of conviction."""

    entries: dict[PeerId, tuple[int, bytes]] = field(default_factory=dict)
    convicted: dict[PeerId, None] = field(default_factory=dict)
    evicted: dict[PeerId, int] = field(default_factory=dict)
    last_place: int = 0

    def copy(self) -> _Index:
        return _Index(dict(self.entries), dict(self.convicted), dict(self.evicted), self.last_place)


class RecordStore:
    """Latest record per author. Safe to use from any thread.

    Args:
        path: SQLite file, made when it is not there; `:memory:` keeps everything in memory.
        max_authors: one more evicts the author with the fewest hits, then the one updated longest ago.
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
        max_proofs: int = 2_000,
        hits: Callable[[PeerId], float] = lambda _: 0.0,
    ) -> None:
        self._path = path
        self._max_authors = max_authors
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

    def _load(self) -> _Index:
        self._db.execute("PRAGMA journal_mode=WAL")
        # FULL: a device that forgot its last publication in a power cut could sign another record with that version.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self._corrupted(found)
        index = _Index()
        for author, version, digest, wire, place in self._db.execute(
            "SELECT author, version, digest, record, place FROM p2p_record ORDER BY place"
        ):
            self._check_row(author, version, digest, wire, place)
            index.entries[PeerId(author)] = (version, digest)
            index.last_place = place
        for author, *wires in self._db.execute("SELECT author, first, second FROM p2p_equivocation ORDER BY rowid"):
            if any(self._opened(wire).record.author != author for wire in wires):
                raise self._corrupted("a proof of equivocation is not about its author")
            index.convicted[PeerId(author)] = None
        return index

    def _check_row(self, author: object, version: object, digest: object, wire: object, place: object) -> None:
        """Refuse a row whose columns do not agree: a wrong digest would make honest authors look like equivocators.

        The signature was verified before the record was stored, and is again when it is read.
        """
        if not isinstance(wire, bytes) or not isinstance(place, int) or digest_of(wire) != digest:
            raise self._corrupted("a record is not the one that was stored")
        body = msgpack.unpackb(msgpack.unpackb(wire)[0])
        if [author, version] != body[1:3]:
            raise self._corrupted("a record is not that of its author and version")

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

    def put_many(self, records: Iterable[SignedRecord]) -> list[Rejected | None]:
        """Take verified records in one transaction.

        Two different records of one author and version convict the author even if a newer one is known.

        Returns:
            For each record None when it was accepted, or why it was not. A record that is already known counts as
            STALE.

        Raises:
            StoreCorrupted, StoreUnavailable: nothing of the batch was stored.
        """
        with self._transaction() as db:
            seen: dict[tuple[PeerId, int], SignedRecord] = {}
            outcomes = []
            for signed in records:
                twin = seen.setdefault((signed.record.author, signed.record.version), signed)
                outcomes.append(self._put(db, signed, twin))
            return outcomes

    def _put(self, db: sqlite3.Connection, signed: SignedRecord, twin: SignedRecord) -> Rejected | None:
        author, version = signed.record.author, signed.record.version
        index = self._index
        if author in index.convicted:
            return Rejected.EQUIVOCATION
        if twin.digest != signed.digest:
            self._convict(db, twin.to_bytes(), signed)
            return Rejected.EQUIVOCATION
        known = index.entries.get(author)
        if known is not None and version <= known[0]:
            if version == known[0] and signed.digest != known[1]:
                first = db.execute("SELECT record FROM p2p_record WHERE author = ?", (author,)).fetchone()[0]
                self._convict(db, first, signed)
                return Rejected.EQUIVOCATION
            return Rejected.STALE
        if known is None and len(index.entries) >= self._max_authors and not self._make_room(db, author):
            return Rejected.FULL
        index.last_place += 1
        row = (author, version, signed.digest, signed.to_bytes(), index.last_place)
        db.execute("INSERT OR REPLACE INTO p2p_record VALUES (?, ?, ?, ?, ?)", row)
        index.entries.pop(author, None)
        index.entries[author] = (version, signed.digest)
        index.evicted.pop(author, None)
        return None

    def _convict(self, db: sqlite3.Connection, first: bytes, second: SignedRecord) -> None:
        author, index = second.record.author, self._index
        row = (author, second.record.version, first, second.to_bytes())
        db.execute("INSERT INTO p2p_equivocation VALUES (?, ?, ?, ?)", row)
        db.execute("DELETE FROM p2p_record WHERE author = ?", (author,))
        index.entries.pop(author, None)
        index.convicted[author] = None
        if len(index.convicted) > self._max_proofs:
            oldest = next(iter(index.convicted))
            db.execute("DELETE FROM p2p_equivocation WHERE author = ?", (oldest,))
            del index.convicted[oldest]
            index.evicted[oldest] = EQUIVOCATED

    def _make_room(self, db: sqlite3.Connection, newcomer: PeerId) -> bool:
        candidates = (author for author in self._index.entries if author not in self._pinned)
        victim = min(candidates, key=self._hits, default=None)  # of equals the first, which was updated longest ago
        if victim is None or (newcomer not in self._pinned and self._hits(victim) > self._hits(newcomer)):
            return False
        db.execute("DELETE FROM p2p_record WHERE author = ?", (victim,))
        self._index.evicted[victim] = self._index.entries.pop(victim)[0]
        return True

    def take_evicted(self) -> dict[PeerId, int]:
        """Return the authors evicted since the last call, each with the version that went, `EQUIVOCATED` for proofs."""
        with self._lock:
            evicted, self._index.evicted = self._index.evicted, {}
            return evicted

    # -- reading ---------------------------------------------------------------------------------

    def get(self, author: PeerId) -> SignedRecord | None:
        """Return an author's latest record."""
        rows = self._rows("SELECT record FROM p2p_record WHERE author = ?", author)
        return self._opened(rows[0][0]) if rows else None

    def records(self) -> list[SignedRecord]:
        """Return the latest record of every author, the one updated longest ago first."""
        return [self._opened(row[0]) for row in self._rows("SELECT record FROM p2p_record ORDER BY place")]

    def wire(self, author: PeerId) -> tuple[bytes, ...]:
        """Return what peers are sent about an author: the record, or the two that prove equivocation, or nothing."""
        with self._lock:
            rows = self._rows("SELECT first, second FROM p2p_equivocation WHERE author = ?", author)
            rows = rows or self._rows("SELECT record FROM p2p_record WHERE author = ?", author)
        return rows[0] if rows else ()

    def _opened(self, data: object) -> SignedRecord:
        try:
            if not isinstance(data, bytes):
                raise self._corrupted("a record is not made of bytes")
            return open_record(data)
        except RecordInvalid as error:
            raise self._corrupted(error) from error

    def summary(self) -> list[Entry]:
        """Return (author, version, digest) of every record."""
        with self._lock:
            return [(author, version, digest) for author, (version, digest) in self._index.entries.items()]

    def entries(self) -> list[Entry]:
        """Return what peers may pull: the summary, and an entry of version `EQUIVOCATED` for each proof."""
        with self._lock:
            return [*self.summary(), *((author, EQUIVOCATED, _PROOF_DIGEST) for author in self._index.convicted)]

    def entry(self, author: PeerId) -> tuple[int, bytes] | None:
        """Return (version, digest) of an author's record; version `EQUIVOCATED` if there is a proof instead."""
        with self._lock:
            if author in self._index.convicted:
                return EQUIVOCATED, _PROOF_DIGEST
            return self._index.entries.get(author)

    def __len__(self) -> int:
        return len(self._index.entries)

    def distrusted(self) -> frozenset[PeerId]:
        """Return the authors who equivocated."""
        with self._lock:
            return frozenset(self._index.convicted)

    def proof(self, author: PeerId) -> tuple[SignedRecord, SignedRecord] | None:
        """Return the two records that convict an author."""
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
