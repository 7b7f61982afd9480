"""The private store: what the person did and whom they vouch for. It never leaves the device.

SQLite in WAL mode with `synchronous=FULL`: an event is durable when `add_events` returns, and a crash at any point
leaves the file readable. What was forgotten is overwritten. The store knows nothing of models, catalogs or the network,
and no call but `events` costs more the longer the history is.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdk.actions import ACTION_NUMBERS, IMPRESSION
from sdk.database import translated
from sdk.errors import Closed, DeviceFolderInvalid, StoreCorrupted, StoreUnavailable
from sdk.item_opinion import ItemOpinion, ItemState, actions_of, state_of
from sdk.store_schema import SCHEMA_VERSION, prepare, save_state

BLOCKED = -1  # the level of an opinion that cuts a peer off
_LEVELS = {BLOCKED, 1, 2, 3}
_LOG_PAGES = 256  # 1 MiB of write-ahead log, which a disk that fills up has no room to empty
_CHECKED_UP_TO = 64 << 20  # larger files are not read through when opened; SQLite names damage where it meets it
_STATE = "level, day, actions, seen, shown, last_at"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One thing the person did: `action` is a number of `sdk.actions`, `at` Unix seconds."""

    item: str
    action: int
    at: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the person thinks of a peer: level 1..3 vouches, `BLOCKED` cuts the peer off; within one community."""

    peer: bytes
    level: int
    at: int
    community: str = ""


class EventStore:
    """Events and opinions of one person, safe to use from any thread.

    Raises:
        StoreCorrupted: the file is damaged or is not a SQLite database. It is left as it is.
        DeviceFolderInvalid: the file was written by a newer version of this package.
        StoreUnavailable: the file system refuses; `DiskFull` where there is no room.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        try:
            with translated(self._path, self._corrupted):
                self._connection = sqlite3.connect(path, check_same_thread=False)
                self._prepare(self._connection)
        except BaseException:
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
        db.execute("PRAGMA secure_delete=ON")
        db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        small = self._path.stat().st_size <= _CHECKED_UP_TO
        if version > 0 and small and db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damaged pages")
        if version < SCHEMA_VERSION:
            prepare(db, version)

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
            with translated(self._path, self._corrupted), self._connection:
                yield self._connection

    # -- events ----------------------------------------------------------------------------------

    def add_events(self, events: Iterable[StoredEvent], *, newest: int | None = None) -> None:
        """Append events in one transaction; all are durable on return, or none is kept.

        Args:
            events: in any order.
            newest: what `newest` returns from now on, unchanged when None.
        """
        batch = list(events)
        try:
            self._add(batch, newest)
        except StoreUnavailable:
            self._empty_log()  # it may be what takes the room: up to some megabytes
            self._add(batch, newest)

    def _add(self, batch: Sequence[StoredEvent], newest: int | None) -> None:
        with self._database() as db:
            said: dict[str, list[tuple[int, int]]] = {}
            for event in batch:
                said.setdefault(event.item, []).append((event.action, event.at))
            items = {name: self._item(db, name) for name in said}
            rows = ((items[event.item][0], event.action, event.at) for event in batch)
            db.executemany("INSERT INTO event (item, action, at) VALUES (?, ?, ?)", rows)
            for name, (number, state) in items.items():
                save_state(db, number, self._state_after(db, number, state, said[name]))
            shown = sum(event.action == IMPRESSION for event in batch)
            for name, more in (("events", len(batch)), ("impressions", shown)):
                db.execute("UPDATE total SET value = value + ? WHERE name = ?", (more, name))
            if newest is not None:
                db.execute("UPDATE total SET value = ? WHERE name = 'newest'", (newest,))

    def _item(self, db: sqlite3.Connection, name: str) -> tuple[int, ItemState]:
        """Return the number and the state of an item, which gets both now if it is new."""
        found = db.execute(f"SELECT id, {_STATE} FROM item WHERE name = ?", (name,)).fetchone()
        if found is None:
            return int(db.execute("INSERT INTO item (name) VALUES (?)", (name,)).lastrowid or 0), ItemState()
        number, level, day, actions, seen, shown, last_at = found
        return number, ItemState(level, day, actions, bool(seen), bool(shown), last_at)

    def _state_after(
        self, db: sqlite3.Connection, number: int, state: ItemState, said: list[tuple[int, int]]
    ) -> ItemState:
        if min(at for _, at in said) < state.last_at:  # older than what was folded in: read this item's events again
            events = db.execute("SELECT action, at FROM event WHERE item = ? ORDER BY at, id", (number,))
            return state_of(events)
        for action, at in sorted(said, key=lambda event: event[1]):
            state = state.after(action, at)
        return state

    def events(self, last: int | None = None) -> list[StoredEvent]:
        """Return the `last` events (all when None) in time order, equal times in the order they were recorded."""
        with self._database() as db:
            rows = db.execute(
                "SELECT i.name, e.action, e.at FROM event e LEFT JOIN item i ON i.id = e.item "
                "ORDER BY e.at DESC, e.id DESC LIMIT ?",
                (-1 if last is None else last,),
            ).fetchall()
        return self._checked(rows)

    def read_events(self, last: int, *, until: int, skip: int = 0) -> list[StoredEvent]:
        """Return the newest events that a model may read: no impressions, none later than `until`; in time order.

        Args:
            last: how many at most.
            until: Unix seconds.
            skip: how many of the newest to pass over.
        """
        with self._database() as db:
            rows = db.execute(
                "SELECT i.name, e.action, e.at FROM event e LEFT JOIN item i ON i.id = e.item "
                f"WHERE e.action <> {IMPRESSION} AND e.at <= ? ORDER BY e.at DESC, e.id DESC LIMIT ? OFFSET ?",
                (until, last, skip),
            ).fetchall()
        return self._checked(rows)

    def _checked(self, rows: Sequence[tuple[Any, Any, Any]]) -> list[StoredEvent]:
        events = [StoredEvent(*row) for row in reversed(rows)]
        if not all(isinstance(e.item, str) and e.action in ACTION_NUMBERS and isinstance(e.at, int) for e in events):
            raise self._corrupted("an event is not one that was stored")
        return events

    def count_events(self) -> int:
        """Return how many events are stored."""
        return self._total("events")

    def count_read_events(self) -> int:
        """Return how many of them a model may read: all but impressions."""
        return self._total("events") - self._total("impressions")

    @property
    def newest(self) -> int:
        """Unix seconds that the latest event was stamped with whose time the app left open; 0 for none."""
        return self._total("newest")

    def _total(self, name: str) -> int:
        with self._database() as db:
            row = db.execute("SELECT value FROM total WHERE name = ?", (name,)).fetchone()
        if row is None or not isinstance(row[0], int) or row[0] < 0:
            raise self._corrupted(f"the count of {name} is gone")
        return row[0]

    # -- items -----------------------------------------------------------------------------------

    def items(self) -> set[str]:
        """Return the ids of all items that any event is about."""
        return set(self._names("SELECT name FROM item WHERE seen OR shown"))

    def seen_items(self, *, shown: bool = False) -> list[str]:
        """Return the ids of items that the person did anything with, and of those merely shown if `shown`."""
        return self._names("SELECT name FROM item WHERE seen" + (" OR shown" if shown else ""))

    def has_seen(self, item: str) -> bool:
        """Return whether the person did anything with an item."""
        with self._database() as db:
            return db.execute("SELECT 1 FROM item WHERE name = ? AND seen", (item,)).fetchone() is not None

    def item_opinions(self, *, least: int = 1, limit: int | None = None) -> list[ItemOpinion]:
        """Return what the history says of items: the strongest first; equal levels, the latest first; then by id.

        Args:
            least: lowest level that is returned, 1 to 3.
            limit: how many at most; all when None.
        """
        with self._database() as db:
            rows = db.execute(
                "SELECT name, level, day, actions FROM item WHERE level > 0 AND level >= ? "
                "ORDER BY level DESC, day DESC, name LIMIT ?",
                (least, -1 if limit is None else limit),
            ).fetchall()
        if not all(isinstance(name, str) and level in (1, 2, 3) and type(day) is int for name, level, day, _ in rows):
            raise self._corrupted("an item is not one that was stored")
        return [ItemOpinion(name, level, day, actions_of(bits)) for name, level, day, bits in rows]

    def block_item(self, item: str, at: int) -> None:
        """Remember that the person does not want to see an item."""
        with self._database() as db:
            db.execute("INSERT OR IGNORE INTO blocked_item VALUES (?, ?)", (item, at))

    def unblock_item(self, item: str) -> bool:
        """Take that back; return whether it had been said."""
        with self._database() as db:
            return db.execute("DELETE FROM blocked_item WHERE name = ?", (item,)).rowcount > 0

    def blocked_items(self) -> list[str]:
        """Return the ids of items that the person does not want to see, in order."""
        return self._names("SELECT name FROM blocked_item ORDER BY name")

    def _names(self, query: str) -> list[str]:
        with self._database() as db:
            names = [row[0] for row in db.execute(query)]
        if not all(isinstance(name, str) for name in names):
            raise self._corrupted("an item is not one that was stored")
        return names

    # -- opinions of peers -----------------------------------------------------------------------

    def set_opinion(self, opinion: Opinion) -> None:
        """Remember the latest opinion of a peer."""
        row = (opinion.peer, opinion.community, opinion.level, opinion.at)
        with self._database() as db:
            db.execute("INSERT OR REPLACE INTO opinion (peer, community, level, at) VALUES (?, ?, ?, ?)", row)

    def remove_opinion(self, peer: bytes, community: str = "") -> bool:
        """Forget what was said of a peer; return whether anything had been."""
        with self._database() as db:
            query = "DELETE FROM opinion WHERE peer = ? AND community = ?"
            return db.execute(query, (peer, community)).rowcount > 0

    def opinions(self, community: str | None = "") -> list[Opinion]:
        """Return every opinion of a community, of all of them when None, ordered by peer."""
        query = "SELECT peer, level, at, community FROM opinion WHERE ?1 IS NULL OR community = ?1 ORDER BY peer"
        with self._database() as db:
            said = [Opinion(*row) for row in db.execute(query, (community,))]
        if not all(isinstance(o.peer, bytes) and o.level in _LEVELS and isinstance(o.at, int) for o in said):
            raise self._corrupted("an opinion is not one that was stored")
        return said

    # -- forgetting ------------------------------------------------------------------------------

    def forget_item(self, item: str) -> int:
        """Remove every event of an item and whether it is blocked; return how many events that were."""
        with self._database() as db:
            db.execute("DELETE FROM blocked_item WHERE name = ?", (item,))
            found = db.execute("SELECT id FROM item WHERE name = ?", (item,)).fetchone()
            if found is None:
                return 0
            shown = db.execute(
                "SELECT count(*) FROM event WHERE item = ? AND action = ?", (found[0], IMPRESSION)
            ).fetchone()[0]
            gone = db.execute("DELETE FROM event WHERE item = ?", found).rowcount
            db.execute("DELETE FROM item WHERE id = ?", found)
            for name, fewer in (("events", gone), ("impressions", shown)):
                db.execute("UPDATE total SET value = value - ? WHERE name = ?", (fewer, name))
        self._empty_log()
        return gone

    def forget_everything(self) -> tuple[int, int, int]:
        """Remove all; return how many events, opinions and blocked items that were."""
        with self._database() as db:
            counts = [db.execute(f"DELETE FROM {name}").rowcount for name in ("event", "opinion", "blocked_item")]
            db.execute("DELETE FROM item")
            db.execute("UPDATE total SET value = 0")
        self._empty_log()
        return counts[0], counts[1], counts[2]

    def _empty_log(self) -> None:
        """Empty the write-ahead log, which takes room and still holds what was deleted."""
        with self._lock, translated(self._path, self._corrupted):
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
