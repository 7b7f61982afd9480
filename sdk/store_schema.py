"""The tables of the private store, and how a store of an older version becomes one of this.

Items have numbers, so that ten million events do not repeat their ids, and each item's row says what its events come
to. `total` counts, so that nobody has to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

from sdk.actions import ACTION_NUMBERS, IMPRESSION
from sdk.item_opinion import ItemState, state_of

SCHEMA_VERSION = 2
_SCHEMA = f"""
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    level INTEGER NOT NULL DEFAULT 0,
    day INTEGER NOT NULL DEFAULT 0,
    actions INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL DEFAULT 0,
    shown INTEGER NOT NULL DEFAULT 0,
    last_at INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX item_by_level ON item (level DESC, day DESC, name) WHERE level > 0;
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    item INTEGER NOT NULL,
    action INTEGER NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX event_by_time ON event (at, id) WHERE action <> {IMPRESSION};
CREATE INDEX event_by_item ON event (item, at, id);
CREATE TABLE opinion (
    peer BLOB NOT NULL,
    community TEXT NOT NULL DEFAULT '',
    level INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (peer, community)
);
CREATE TABLE blocked_item (name TEXT PRIMARY KEY, at INTEGER NOT NULL);
CREATE TABLE total (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO total VALUES ('events', 0), ('impressions', 0), ('newest', 0);
"""
_SAVE_STATE = "UPDATE item SET level = ?, day = ?, actions = ?, seen = ?, shown = ?, last_at = ? WHERE id = ?"


def prepare(db: sqlite3.Connection, version: int) -> None:
    """Make the tables, or those of an older version into these, in one transaction.

    Raises:
        sqlite3.DatabaseError: the older tables hold what nobody stored; nothing was changed.
    """
    with db:
        db.execute("BEGIN IMMEDIATE")
        if version == 1:
            for statement in ("DROP INDEX event_by_time", "ALTER TABLE event RENAME TO event_1"):
                db.execute(statement)
            db.execute("ALTER TABLE opinion RENAME TO opinion_1")
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        if version == 1:
            _move_from_1(db)
        db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _move_from_1(db: sqlite3.Connection) -> None:
    for name, kind in (("item", "text"), ("action", "integer"), ("at", "integer")):
        wrong = db.execute(f"SELECT count(*) FROM event_1 WHERE typeof({name}) <> '{kind}'").fetchone()[0]
        if wrong:
            raise sqlite3.DatabaseError("an event is not one that was stored")
    actions = {row[0] for row in db.execute("SELECT DISTINCT action FROM event_1")}
    if not actions <= ACTION_NUMBERS:
        raise sqlite3.DatabaseError("an event is not one that was stored")
    db.execute("INSERT INTO item (name) SELECT DISTINCT item FROM event_1 ORDER BY item")
    db.execute(
        "INSERT INTO event SELECT e.id, i.id, e.action, e.at FROM event_1 e JOIN item i ON i.name = e.item "
        "ORDER BY e.id"
    )
    db.execute("INSERT INTO opinion (peer, level, at) SELECT peer, level, at FROM opinion_1")
    db.execute("UPDATE total SET value = (SELECT count(*) FROM event_1) WHERE name = 'events'")
    for table, now in (("event_1", "event"), ("opinion_1", "opinion")):
        counts = [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in (table, now)]
        if counts[0] != counts[1]:
            raise sqlite3.DatabaseError(f"{counts[0]} rows of {now} became {counts[1]}")
        db.execute(f"DROP TABLE {table}")
    rows = db.execute("SELECT item, action, at FROM event ORDER BY item, at, id")
    save_states(db, ((number, list(events)) for number, events in _by_item(rows)))


def _by_item(rows: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, [(action, at) for _, action, at in group]


def save_states(db: sqlite3.Connection, events_of: Iterable[tuple[int, list[tuple[int, int]]]]) -> None:
    """Write what all events of items, (action, at) in time order, come to."""
    for number, events in events_of:
        save_state(db, number, state_of(events))


def save_state(db: sqlite3.Connection, number: int, state: ItemState) -> None:
    """Write one item's state."""
    row = (state.level, state.day, state.actions, state.seen, state.shown, state.last_at, number)
    db.execute(_SAVE_STATE, row)
