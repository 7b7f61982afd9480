"""The store's file: versions of it, a disk without room, bytes that were forgotten."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from device_runtime import Action
from sdk.errors import DiskFull, StoreCorrupted, StoreUnavailable
from sdk.store import BLOCKED, EventStore, Opinion, StoredEvent
from sdk.store_schema import SCHEMA_VERSION

ROOT = Path(__file__).parents[2]
VERSION_1 = ROOT / "tests" / "golden" / "events_v1.db"  # written by meritrec 0.1 before there was a second schema


def _version_1_events() -> list[StoredEvent]:
    """What the golden file was filled with, in the order of recording."""
    found = [StoredEvent(f"item-{7 * n % 23}", 1 + n % 6, 1_600_000_000 + (n * 37 % 50) * 3600) for n in range(120)]
    found += [
        StoredEvent("ünïcode", 2, 1_600_000_000),
        StoredEvent("item-1", 2, 0),
        StoredEvent("item-1", 5, 4_000_000_000),
    ]
    return found


# What meritrec 0.1 made of that history by replaying it: item, level, day.
VERSION_1_OPINIONS = [
    *[("item-1", 3, 46296), ("item-2", 3, 18520), ("item-20", 3, 18520), ("item-5", 3, 18520), ("item-14", 3, 18519)],
    *[("item-16", 3, 18519), ("item-21", 3, 18519), ("item-22", 3, 18519), ("item-3", 3, 18519), ("item-6", 3, 18519)],
    *[("item-18", 3, 18518), ("item-12", 2, 18520), ("item-4", 2, 18519), ("item-0", 2, 18518), ("item-8", 2, 18518)],
    ("ünïcode", 2, 18518),
]


def _schema(path: Path) -> int:
    db = sqlite3.connect(path)
    try:
        return int(db.execute("PRAGMA user_version").fetchone()[0])
    finally:
        db.close()


def test_a_store_of_version_1_becomes_one_of_this_with_everything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    shutil.copy(VERSION_1, path)
    assert _schema(path) == 1
    for _ in range(2):  # moved once, then simply opened
        store = EventStore(path)
        assert store.events() == sorted(_version_1_events(), key=lambda event: event.at)
        assert store.count_events() == store.count_read_events() == 123
        assert [(o.item, o.level, o.day) for o in store.item_opinions()] == VERSION_1_OPINIONS
        assert store.opinions() == [Opinion(bytes(range(32)), 3, 1_600_000_001), Opinion(b"b" * 32, BLOCKED, 5)]
        store.close()
        assert _schema(path) == SCHEMA_VERSION


@pytest.mark.parametrize(
    "change",
    ["UPDATE event SET action = 9 WHERE id = 5", "UPDATE event SET at = 'x' WHERE id = 5", "DROP TABLE opinion"],
)
def test_a_damaged_store_of_version_1_is_refused_and_left_as_it_is(tmp_path: Path, change: str) -> None:
    path = tmp_path / "events.db"
    shutil.copy(VERSION_1, path)
    db = sqlite3.connect(path)
    db.execute(change)
    db.commit()
    before = list(db.iterdump())
    db.close()
    with pytest.raises(StoreCorrupted, match="Nothing was changed"):
        EventStore(path)
    db = sqlite3.connect(path)
    assert list(db.iterdump()) == before
    db.close()
    assert _schema(path) == 1


def test_a_move_without_room_leaves_the_store_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.db"
    shutil.copy(VERSION_1, path)
    connect = sqlite3.connect

    def without_room(*arguments: object, **options: object) -> sqlite3.Connection:
        db = connect(*arguments, **options)  # type: ignore[call-overload]
        db.execute("PRAGMA max_page_count=5")
        return db

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", without_room)
        with pytest.raises(DiskFull, match="no room left"):
            EventStore(path)
    assert _schema(path) == 1
    store = EventStore(path)
    assert store.count_events() == 123
    store.close()


_RECORD_UNTIL_REFUSED = """
import pathlib, resource, signal, sys
from sdk.errors import StoreUnavailable
from sdk.store import EventStore, StoredEvent
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = EventStore(pathlib.Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
stored = 0
try:
    while stored < 5000:
        store.add_events([StoredEvent(f"item-{stored}" * 20, 2, stored)])
        stored += 1
except StoreUnavailable as error:
    print(stored, type(error).__name__)
    for _ in range(3):  # it goes on refusing, and goes on answering
        try:
            store.add_events([StoredEvent("x" * 4000, 2, n) for n in range(100)])
        except StoreUnavailable:
            pass
    assert store.count_events() == stored == len(store.events())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.add_events([StoredEvent("there is room again", 2, stored)])
"""


def test_a_file_that_may_not_grow_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    command = [sys.executable, "-c", _RECORD_UNTIL_REFUSED, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    stored, error = done.stdout.split()
    assert issubclass(getattr(sys.modules["sdk.errors"], error), StoreUnavailable)
    assert 0 < int(stored) < 5000
    assert path.stat().st_size > 300_000  # the room was used for events, not for the write-ahead log
    store = EventStore(path)
    names = [event.item for event in store.events()]
    assert names == [f"item-{n}" * 20 for n in range(int(stored))] + ["there is room again"]
    store.close()


def test_what_was_forgotten_is_in_no_file_any_more(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.add_events([StoredEvent(f"kept-{n}", Action.LIKE, n) for n in range(50)])
    store.add_events([StoredEvent("a-secret-item", Action.BUY, n) for n in range(50)])
    store.block_item("a-secret-item", 5)
    assert store.forget_item("a-secret-item") == 50
    assert [path.name for path in tmp_path.iterdir() if b"a-secret-item" in path.read_bytes()] == []
    store.set_opinion(Opinion(b"whom I know, 32 bytes of a key !", 2, 1))
    assert store.forget_everything() == (50, 1, 0)
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"kept-" not in left
    assert b"whom I know" not in left
    store.close()
