"""What this device told in one community, day by day, and the answers it gave: on its own disk, for its person.

One SQLite file beside the records of the community. It follows the record store: whatever record of this device stands
there is taken over, so after a crash between the two the log is mended when it is opened.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias

from p2p import AdjacencyRecord
from sdk.database import translated
from sdk.errors import Closed, DeviceFolderInvalid, InvalidInput, StoreCorrupted
from sdk.item_opinion import DAY_S
from sdk.publication import Edition
from sdk.randomised_response import Answer
from sdk.sharing import SharingPolicy

PUBLICATIONS_FILE = "publications.db"
SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value NOT NULL);
CREATE TABLE answer (
    key BLOB PRIMARY KEY, told INTEGER NOT NULL, day INTEGER NOT NULL, turn INTEGER NOT NULL, spent REAL NOT NULL
);
CREATE TABLE told (
    key BLOB PRIMARY KEY, item TEXT, since_day INTEGER NOT NULL, now INTEGER NOT NULL, forgotten INTEGER NOT NULL
);
CREATE TABLE edition (
    peer BLOB NOT NULL, version INTEGER NOT NULL, day INTEGER NOT NULL, items INTEGER NOT NULL,
    vouches INTEGER NOT NULL, PRIMARY KEY (peer, version)
);
"""
_EDITIONS_KEPT = 1_000
Kind: TypeAlias = type | tuple[type, ...]


@dataclass(frozen=True, slots=True)
class ToldItem:
    """An item that was told at some time.

    Attributes:
        item: its id; None if this device does not know which item it was.
        since_day: the day (since 1970) of the record in which it last was new.
        now: whether it stands in the latest record.
    """

    item: str | None
    since_day: int
    now: bool


class PublicationLog:
    """Thread-safe.

    Args:
        path: the file, made when it is not there.
        secret: of the coins; kept in a new file, and from then on that one counts, so that a new key of the device
            gives the same answers.

    Raises:
        StoreCorrupted: the file is damaged, and left as it is.
        DeviceFolderInvalid: a newer version of this package wrote it.
        StoreUnavailable: the file system refuses; `DiskFull` where there is no room.
    """

    def __init__(self, path: Path, secret: bytes) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        try:
            with translated(self._path, self._corrupted):
                self._connection = sqlite3.connect(path, check_same_thread=False)
                self._prepare(self._connection, secret)
        except BaseException:
            self.close()
            raise

    def _prepare(self, db: sqlite3.Connection, secret: bytes) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise DeviceFolderInvalid(
                f"{self._path} has schema {version}, this meritrec reads up to {SCHEMA_VERSION}; upgrade meritrec"
            )
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute("PRAGMA synchronous=FULL")  # an answer forgotten in a power cut would be given anew
        if version == 0:
            with db:
                db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damaged pages")
        with db:
            db.execute("INSERT OR IGNORE INTO setting VALUES ('secret', ?)", (secret,))

    def _corrupted(self, error: object) -> StoreCorrupted:
        return StoreCorrupted(
            f"{self._path} cannot be read ({error}); restore it from a backup, or move it away: what was told stays "
            "told, and random answers are given anew. Nothing was changed."
        )

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                raise Closed("the publication log is closed; open the Recommender again")
            with translated(self._path, self._corrupted), self._connection:
                yield self._connection

    def _setting(self, name: str) -> object:
        with self._database() as db:
            row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def _set(self, name: str, value: object) -> None:
        with self._database() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))

    # -- choices ---------------------------------------------------------------------------------

    @property
    def secret(self) -> bytes:
        """Of the coins, 32 bytes."""
        value = self._setting("secret")
        if not isinstance(value, bytes):
            raise self._corrupted("the secret is missing")
        return value

    @property
    def choice(self) -> SharingPolicy | None:
        """The policy that the person chose here; None if nobody did."""
        text = self._setting("policy")
        try:
            return None if text is None else SharingPolicy.from_json(json.loads(str(text)))
        except (ValueError, InvalidInput) as error:
            raise self._corrupted(error) from error

    def choose(self, policy: SharingPolicy) -> None:
        """Remember the person's choice, durably."""
        self._set("policy", json.dumps(policy.as_json()))

    @property
    def began(self) -> int | None:
        """Day (since 1970) of the first publication under ε; None before."""
        day = self._setting("began")
        if day is not None and not isinstance(day, int):
            raise self._corrupted("a day is no whole number")
        return day

    # -- answers ---------------------------------------------------------------------------------

    def answers(self) -> dict[bytes, Answer]:
        """Return the latest answer about each item, by key."""
        with self._database() as db:
            rows = db.execute("SELECT key, told, day, turn, spent FROM answer").fetchall()
        self._check(rows, (bytes, int, int, int, float))
        return {key: Answer(bool(told), day, turn, spent) for key, told, day, turn, spent in rows}

    def add_answers(self, answers: Mapping[bytes, Answer], today: int) -> None:
        """Keep answers before anything of them is told; durable on return."""
        with self._database() as db:
            db.execute("INSERT OR IGNORE INTO setting VALUES ('began', ?)", (today,))
            rows = [(key, int(a.told), a.day, a.turn, a.spent) for key, a in answers.items()]
            db.executemany("INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?)", rows)

    # -- what was told ---------------------------------------------------------------------------

    def absorb(self, record: AdjacencyRecord, items: Mapping[bytes, str]) -> None:
        """Take over a record of this device; taking the same one again changes nothing.

        Args:
            record: as it stands in the record store.
            items: ids of items by their keys, as far as they are known.
        """
        day = record.issued_at // DAY_S
        row = (record.author, record.version, day, len(record.items), len(record.trust))
        with self._database() as db:
            if not db.execute("INSERT OR IGNORE INTO edition VALUES (?, ?, ?, ?, ?)", row).rowcount:
                return
            here = {edge.key for edge in record.items}
            before = {key for (key,) in db.execute("SELECT key FROM told WHERE now")}
            db.executemany("UPDATE told SET now = 0 WHERE key = ?", [(key,) for key in before - here])
            db.execute("DELETE FROM told WHERE forgotten AND NOT now")
            db.executemany(
                "INSERT INTO told VALUES (?, ?, ?, 1, 0) ON CONFLICT (key) DO UPDATE SET now = 1, "
                "since_day = excluded.since_day, item = coalesce(excluded.item, item), forgotten = 0",
                [(key, items.get(key), day) for key in here - before],
            )
            db.execute(
                "DELETE FROM edition WHERE rowid NOT IN (SELECT rowid FROM edition ORDER BY rowid DESC LIMIT ?)",
                (_EDITIONS_KEPT,),
            )

    def told(self) -> dict[bytes, ToldItem]:
        """Return every item that was told, by key."""
        with self._database() as db:
            rows = db.execute("SELECT key, item, since_day, now FROM told").fetchall()
        self._check(rows, (bytes, (str, NoneType), int, int))
        return {key: ToldItem(item, since_day, bool(now)) for key, item, since_day, now in rows}

    def editions(self, last: int = 100) -> list[Edition]:
        """Return the latest records that were published, the newest first."""
        with self._database() as db:
            rows = db.execute(
                "SELECT version, day, items, vouches FROM edition ORDER BY rowid DESC LIMIT ?", (last,)
            ).fetchall()
        self._check(rows, (int, int, int, int))
        return [Edition(*row) for row in rows]

    def _check(self, rows: Iterable[tuple[Any, ...]], kinds: tuple[Kind, ...]) -> None:
        if not all(isinstance(value, kind) for row in rows for value, kind in zip(row, kinds, strict=True)):
            raise self._corrupted("a row is not one that was stored")

    def forget(self, key: bytes) -> bool:
        """Leave an item out of what is told from now on, and drop every trace of it once it is out.

        Returns:
            Whether it stands in the latest record: the next publication takes it out.
        """
        with self._database() as db:
            # The answer stays, as "not told": asked about anew, the item would be told with some chance.
            db.execute("UPDATE answer SET told = 0 WHERE key = ?", (key,))
            db.execute("DELETE FROM told WHERE key = ? AND NOT now", (key,))
            return db.execute("UPDATE told SET forgotten = 1, item = NULL WHERE key = ?", (key,)).rowcount > 0

    def forget_everything(self) -> bool:
        """Choose to be private, and drop answers and everything told but what the next publication takes out.

        Returns:
            Whether there is anything for it to take out.
        """
        private = json.dumps(SharingPolicy.PRIVATE.as_json())
        latest = self.editions(1)
        with self._database() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES ('policy', ?)", (private,))
            db.execute("DELETE FROM answer")
            db.execute("DELETE FROM told WHERE NOT now")
            db.execute("UPDATE told SET forgotten = 1, item = NULL")
        return any(edition.items or edition.vouches for edition in latest)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
