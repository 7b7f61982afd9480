"""The private store: what the person did and whom they vouch for. It never leaves the device.

SQLite in WAL mode with `synchronous=FULL`: an event is durable when `add_event` returns, and a crash at any point
leaves the file readable. The store knows nothing of models, catalogs or the network.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_runtime import Action
from sdk.errors import Closed, DeviceFolderInvalid, StoreCorrupted

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    item TEXT NOT NULL,
    action INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX event_by_time ON event (at, id);
CREATE TABLE opinion (
    peer BLOB PRIMARY KEY,
    level INTEGER NOT NULL,
    at INTEGER NOT NULL
);
"""
BLOCKED = -1  # the level of an opinion that cuts a peer off
_LEVELS = {BLOCKED, 1, 2, 3}
_ACTIONS = set(Action) - {Action.PAD}


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One thing the person did: `action` is a `device_runtime.Action` value, `at` Unix seconds."""

    item: str
    action: int
    at: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the person thinks of a peer: level 1..3 vouches, `BLOCKED` cuts the peer off."""

    peer: bytes
    level: int
    at: int


class EventStore:
    """Events and opinions of one person, safe to use from any thread.

    Raises:
        StoreCorrupted: the file is damaged or is not a SQLite database. It is left as it is.
        DeviceFolderInvalid: the file was written by a newer version of this package.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False)
            self._prepare(self._connection)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter: a message that quotes the damage
            self.close()
            raise self._corrupted(error) from error
        except DeviceFolderInvalid:
            self.close()
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise DeviceFolderInvalid(
                f"{self._path} has schema {version}, this meritrec reads up to {SCHEMA_VERSION}; upgrade meritrec"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        if version == 0:
            with db:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damaged pages")

    def _corrupted(self, error: object) -> StoreCorrupted:
        return StoreCorrupted(
            f"{self._path} cannot be read ({error}); restore it from a backup, or move it away to start with an "
            "empty history. Nothing was changed."
        )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise Closed("the event store is closed; open the Recommender again")
            try:
                with self._connection:
                    yield self._connection
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                raise self._corrupted(error) from error

    def add_events(self, events: Iterable[StoredEvent]) -> None:
        """Append events in one transaction; all are durable on return, or none is kept."""
        rows = [(e.item, e.action, e.at) for e in events]
        with self._database() as db:
            db.executemany("INSERT INTO event (item, action, at) VALUES (?, ?, ?)", rows)

    def events(self, last: int | None = None) -> list[StoredEvent]:
        """Return the `last` events (all when None) in time order, equal times in the order they were recorded."""
        query = "SELECT item, action, at FROM event ORDER BY at DESC, id DESC"
        with self._database() as db:
            rows = db.execute(query + (" LIMIT ?" if last is not None else ""), () if last is None else (last,))
            events = [StoredEvent(*row) for row in rows][::-1]
        if not all(isinstance(e.item, str) and e.action in _ACTIONS and isinstance(e.at, int) for e in events):
            raise self._corrupted("an event is not one that was stored")
        return events

    def items(self) -> set[str]:
        """Return the ids of all items that any event is about."""
        with self._database() as db:
            return {row[0] for row in db.execute("SELECT DISTINCT item FROM event")}

    def count_events(self) -> int:
        """Return how many events are stored."""
        with self._database() as db:
            return int(db.execute("SELECT count(*) FROM event").fetchone()[0])

    def set_opinion(self, opinion: Opinion) -> None:
        """Remember the latest opinion of a peer."""
        with self._database() as db:
            db.execute("INSERT OR REPLACE INTO opinion VALUES (?, ?, ?)", (opinion.peer, opinion.level, opinion.at))

    def remove_opinion(self, peer: bytes) -> bool:
        """Forget what was said of a peer; return whether anything had been."""
        with self._database() as db:
            return db.execute("DELETE FROM opinion WHERE peer = ?", (peer,)).rowcount > 0

    def opinions(self) -> list[Opinion]:
        """Return every opinion, ordered by peer."""
        with self._database() as db:
            said = [Opinion(*row) for row in db.execute("SELECT peer, level, at FROM opinion ORDER BY peer")]
        if not all(isinstance(o.peer, bytes) and o.level in _LEVELS and isinstance(o.at, int) for o in said):
            raise self._corrupted("an opinion is not one that was stored")
        return said

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def _is_damage(error: Exception) -> bool:
    """Tell a damaged file (undecodable text, a schema not ours) from a full disk or a wrong argument."""
    if isinstance(error, sqlite3.OperationalError):
        return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR
    return not isinstance(error, sqlite3.IntegrityError)
