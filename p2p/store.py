"""The records of all known authors, on disk, bounded, and crash-safe.

SQLite in WAL mode; a batch of records is one transaction. What is stored was verified before, by `open_record`. An
author who signed two different records with one version has equivocated: both are kept as proof, what the author said
is dropped, and nothing more of that author is accepted.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2p.errors import RecordInvalid, Rejected, StoreCorrupted
from p2p.identity import PeerId
from p2p.record import SignedRecord, open_record

Entry = tuple[PeerId, int, bytes]
"""What announcements name: author, version, digest."""

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
    """Latest record per author. Safe to use from any thread.

    Args:
        path: SQLite file, made when it is not there.
        max_authors: one more evicts the author with the fewest hits, then the one updated longest ago.
        hits: how often the person's walks visit an author; never, when not given.

    Raises:
        StoreCorrupted: the file is damaged or not ours. It is left as it is.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_authors: int = 10_000,
        hits: Callable[[PeerId], float] = lambda _: 0.0,
    ) -> None:
        self._path = path
        self._max_authors = max_authors
        self._hits = hits
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            # Records come again from peers: after a power cut the file must be whole, the last second may be missing.
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("quick_check found damaged pages")
            self._entries = self._load_entries()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise self._corrupted(error) from error

    def _load_entries(self) -> dict[PeerId, tuple[int, bytes]]:
        rows = self._db.execute("SELECT author, version, digest FROM p2p_record ORDER BY place")
        return {PeerId(author): (version, digest) for author, version, digest in rows}

    def _corrupted(self, error: Exception) -> StoreCorrupted:
        return StoreCorrupted(
            f"{self._path} cannot be read ({error}); move it away, peers will send their records again. "
            "Nothing was changed."
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            before = dict(self._entries)
            try:
                with self._db:
                    yield self._db
            except sqlite3.DatabaseError as error:
                self._entries = before
                if isinstance(error, sqlite3.OperationalError | sqlite3.ProgrammingError):
                    raise
                raise self._corrupted(error) from error
            except BaseException:
                self._entries = before
                raise

    def put_many(self, records: Iterable[SignedRecord]) -> list[Rejected | None]:
        """Take verified records in one transaction.

        Returns:
            For each record None when it was accepted, or why it was not. A record that is already known counts as
            STALE.
        """
        with self._transaction() as db:
            return [self._put(db, signed) for signed in records]

    def _put(self, db: sqlite3.Connection, signed: SignedRecord) -> Rejected | None:
        author, version = signed.record.author, signed.record.version
        if author in self.distrusted():
            return Rejected.EQUIVOCATION
        known = self._entries.get(author)
        if known is not None and version <= known[0]:
            if version == known[0] and signed.digest != known[1]:
                self._convict(db, signed)
                return Rejected.EQUIVOCATION
            return Rejected.STALE
        if known is None and len(self._entries) >= self._max_authors and not self._make_room(db, author):
            return Rejected.FULL
        place = db.execute("SELECT coalesce(max(place), 0) + 1 FROM p2p_record").fetchone()[0]
        row = (author, version, signed.digest, signed.to_bytes(), place)
        db.execute("INSERT OR REPLACE INTO p2p_record VALUES (?, ?, ?, ?, ?)", row)
        self._entries.pop(author, None)
        self._entries[author] = (version, signed.digest)
        return None

    def _convict(self, db: sqlite3.Connection, second: SignedRecord) -> None:
        author = second.record.author
        first = db.execute("SELECT record FROM p2p_record WHERE author = ?", (author,)).fetchone()[0]
        row = (author, second.record.version, first, second.to_bytes())
        db.execute("INSERT OR REPLACE INTO p2p_equivocation VALUES (?, ?, ?, ?)", row)
        db.execute("DELETE FROM p2p_record WHERE author = ?", (author,))
        del self._entries[author]

    def _make_room(self, db: sqlite3.Connection, newcomer: PeerId) -> bool:
        victim = min(self._entries, key=self._hits)  # of equals the first, which was updated longest ago
        if self._hits(victim) > self._hits(newcomer):
            return False
        db.execute("DELETE FROM p2p_record WHERE author = ?", (victim,))
        del self._entries[victim]
        return True

    def get(self, author: PeerId) -> SignedRecord | None:
        """Return an author's latest record."""
        with self._lock:
            row = self._db.execute("SELECT record FROM p2p_record WHERE author = ?", (author,)).fetchone()
        return None if row is None else self._opened(row[0])

    def records(self) -> list[SignedRecord]:
        """Return the latest record of every author, the one updated longest ago first."""
        with self._lock:
            rows = self._db.execute("SELECT record FROM p2p_record ORDER BY place").fetchall()
        return [self._opened(row[0]) for row in rows]

    def _opened(self, data: bytes) -> SignedRecord:
        try:
            return open_record(data)
        except RecordInvalid as error:
            raise self._corrupted(error) from error

    def summary(self) -> list[Entry]:
        """Return (author, version, digest) of every record."""
        with self._lock:
            return [(author, version, digest) for author, (version, digest) in self._entries.items()]

    def entry(self, author: PeerId) -> tuple[int, bytes] | None:
        """Return (version, digest) of an author's record."""
        with self._lock:
            return self._entries.get(author)

    def __len__(self) -> int:
        return len(self._entries)

    def distrusted(self) -> frozenset[PeerId]:
        """Return the authors who equivocated."""
        with self._lock:
            return frozenset(PeerId(row[0]) for row in self._db.execute("SELECT author FROM p2p_equivocation"))

    def proof(self, author: PeerId) -> tuple[SignedRecord, SignedRecord] | None:
        """Return the two records that convict an author."""
        query = "SELECT first, second FROM p2p_equivocation WHERE author = ?"
        with self._lock:
            row = self._db.execute(query, (author,)).fetchone()
        return None if row is None else (self._opened(row[0]), self._opened(row[1]))

    def own_version(self) -> int:
        """Return the highest version known of the device's own record, 0 when there was none."""
        with self._lock:
            row = self._db.execute("SELECT value FROM p2p_meta WHERE name = 'own_version'").fetchone()
        return 0 if row is None else int(row[0])

    def raise_own_version(self, version: int) -> None:
        """Remember a version of the device's own record; a lower one than known changes nothing."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO p2p_meta VALUES ('own_version', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                (version,),
            )

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            self._db.close()
