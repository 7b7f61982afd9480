"""A record store's rows in SQLite: WAL mode, a batch is one transaction, a crash at any point leaves the file whole.

The tables begin with `p2p_`, so the file may hold other tables too.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from p2p.errors import P2PError, StoreCorrupted, StoreUnavailable
from p2p.record import HANDED_OVER
from p2p.tables import Proof, Row

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


class SqliteTables:
    """Tables in a SQLite file; any thread may use them, one at a time.

    Args:
        path: made when it is not there; `:memory:` keeps everything in memory.

    Raises:
        StoreCorrupted: the file is damaged or no database. It is left as it is.
        StoreUnavailable: the file cannot be opened.
    """

    can_fail = True

    def __init__(self, path: Path | str) -> None:
        self._path = path
        with self._translated():
            self._db = sqlite3.connect(path, check_same_thread=False)
        try:
            with self._translated():
                self._prepare()
        except P2PError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        # FULL: a device that forgot its last publication in a power cut could sign another record with that version.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self.corrupted(found)

    def corrupted(self, why: object) -> StoreCorrupted:
        """See `Tables`."""
        return StoreCorrupted(
            f"{self._path} is damaged ({why}); move it away, peers will send their records again. Nothing was deleted."
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:  # sqlite3 trips over its own message if that quotes the damage
            raise self.corrupted(error) from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                raise self.corrupted(error) from error
            raise StoreUnavailable(f"{self._path} cannot be used now ({error}); its content is whole") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See `Tables`."""
        with self._translated(), self._db:
            yield

    def _all(self, query: str, *arguments: object) -> list[tuple[bytes, ...]]:
        with self._translated():
            return self._db.execute(query, arguments).fetchall()

    def rows(self) -> Iterator[Row]:
        """See `Tables`."""
        query = "SELECT author, version, digest, record, place FROM p2p_record ORDER BY place"
        with self._translated():
            for row in self._db.execute(query):
                yield Row(*row)

    def proofs(self) -> Iterator[Proof]:
        """See `Tables`."""
        with self._translated():
            for row in self._db.execute("SELECT author, version, first, second FROM p2p_equivocation ORDER BY rowid"):
                yield Proof(*row)

    def put(self, row: Row) -> None:
        """See `Tables`."""
        self._db.execute("INSERT OR REPLACE INTO p2p_record VALUES (?, ?, ?, ?, ?)", row)

    def drop(self, author: bytes) -> None:
        """See `Tables`."""
        self._db.execute("DELETE FROM p2p_record WHERE author = ?", (author,))

    def wire(self, author: bytes) -> bytes | None:
        """See `Tables`."""
        rows = self._all("SELECT record FROM p2p_record WHERE author = ?", author)
        return rows[0][0] if rows else None

    def wires(self) -> list[bytes]:
        """See `Tables`."""
        return [
            row[0] for row in self._all("SELECT record FROM p2p_record WHERE version < ? ORDER BY place", HANDED_OVER)
        ]

    def wires_with(self, keys: Collection[bytes]) -> list[bytes]:
        """See `Tables`."""
        every, found = list(keys), dict[bytes, None]()
        for first in range(0, len(every), _KEYS_PER_SCAN):
            batch = every[first : first + _KEYS_PER_SCAN]
            anywhere = " OR ".join("instr(record, ?)" for _ in batch)
            query = f"SELECT record FROM p2p_record WHERE version < ? AND ({anywhere})"
            found |= dict.fromkeys(row[0] for row in self._all(query, HANDED_OVER, *batch))
        return list(found)

    def put_proof(self, proof: Proof) -> None:
        """See `Tables`."""
        self._db.execute("INSERT INTO p2p_equivocation VALUES (?, ?, ?, ?)", proof)

    def drop_proof(self, author: bytes) -> None:
        """See `Tables`."""
        self._db.execute("DELETE FROM p2p_equivocation WHERE author = ?", (author,))

    def proof(self, author: bytes) -> tuple[bytes, bytes] | None:
        """See `Tables`."""
        rows = self._all("SELECT first, second FROM p2p_equivocation WHERE author = ?", author)
        return (rows[0][0], rows[0][1]) if rows else None

    def own_version(self) -> int:
        """See `Tables`."""
        rows = self._all("SELECT value FROM p2p_meta WHERE name = 'own_version'")
        return int(rows[0][0]) if rows else 0

    def set_own_version(self, version: int) -> None:
        """See `Tables`."""
        self._db.execute("INSERT OR REPLACE INTO p2p_meta VALUES ('own_version', ?)", (version,))

    def close(self) -> None:
        """See `Tables`."""
        self._db.close()
