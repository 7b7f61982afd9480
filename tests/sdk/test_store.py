"""The private store: durable, ordered, whole or refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sdk.errors import Closed, DeviceFolderInvalid, DiskFull, StoreCorrupted
from sdk.store import BLOCKED, EventStore, Opinion, StoredEvent


def test_events_come_back_in_time_order_and_survive_reopening(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.add_events([StoredEvent("b", 2, 20), StoredEvent("a", 1, 10), StoredEvent("c", 2, 20)])
    store.close()
    again = EventStore(tmp_path / "events.db")
    assert [e.item for e in again.events()] == ["a", "b", "c"]
    assert [e.item for e in again.events(last=2)] == ["b", "c"]
    assert again.events(last=0) == []
    assert again.items() == {"a", "b", "c"}
    assert again.count_events() == 3
    again.close()


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    with pytest.raises(sqlite3.IntegrityError):
        store.add_events([StoredEvent("a", 1, 10), StoredEvent(None, 1, 10)])  # type: ignore[arg-type]
    assert store.events() == []
    store.close()


def test_the_latest_opinion_counts_and_can_be_taken_back(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.set_opinion(Opinion(b"p", 2, 1))
    store.set_opinion(Opinion(b"p", BLOCKED, 2))
    assert store.opinions() == [Opinion(b"p", BLOCKED, 2)]
    assert store.remove_opinion(b"p")
    assert not store.remove_opinion(b"p")
    store.close()


@pytest.mark.parametrize("damage", ["header", "pages", "empty pages", "text"])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "events.db"
    store = EventStore(path)
    store.add_events([StoredEvent(f"item-{n}" * 20, 2, n) for n in range(2000)])
    store.close()
    content = bytearray(path.read_bytes())
    match damage:
        case "header":
            content[:16] = b"not a database!!"
        case "pages":
            content[4096:8192] = bytes(range(256)) * 16
        case "empty pages":
            del content[8192:]
        case "text":
            content[:] = b"hello"
    path.write_bytes(content)
    with pytest.raises(StoreCorrupted, match="Nothing was changed"):
        EventStore(path)
    assert path.read_bytes() == content


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    EventStore(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(DeviceFolderInvalid, match="upgrade meritrec"):
        EventStore(path)


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.close()
    store.close()
    with pytest.raises(Closed):
        store.events()


def test_no_damaged_byte_comes_out_as_anything_but_store_corrupted(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    stored = [StoredEvent(f"item-{n}", 2, 1_600_000_000 + n) for n in range(20)]
    store = EventStore(path)
    store.add_events(stored)
    store.set_opinion(Opinion(bytes(range(32)), 2, 5))
    store.close()
    whole = path.read_bytes()
    refused = 0
    for place in [n for n, byte in enumerate(whole) if byte][::7]:
        content = bytearray(whole)
        content[place] ^= 0xFF
        path.write_bytes(content)
        try:
            store = EventStore(path)
            try:
                events, opinions = store.events(), store.opinions()
                assert store.count_events() >= 0
                assert all(isinstance(item, str) for item in store.items())
            finally:
                store.close()
        except (StoreCorrupted, DeviceFolderInvalid):
            refused += 1
            assert path.read_bytes() == content
        else:
            assert len(events) == len(stored)
            assert [opinion.level for opinion in opinions] == [2]
        for left in tmp_path.glob("events.db-*"):
            left.unlink(missing_ok=True)
    assert refused > 100


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE item SET name = CAST(x'ff' AS TEXT)",
        "UPDATE item SET name = x'ff'",
        "UPDATE event SET item = 7",
        "UPDATE item SET level = 9",
        "UPDATE event SET action = 0",
        "UPDATE event SET action = 7",
        "UPDATE event SET at = 'yesterday'",
        "UPDATE opinion SET level = 4",
        "ALTER TABLE event RENAME COLUMN action TO thing",
        "DROP TABLE opinion",
    ],
)
def test_rows_that_nobody_stored_are_refused_when_read(tmp_path: Path, change: str) -> None:
    path = tmp_path / "events.db"
    store = EventStore(path)
    store.add_events([StoredEvent("a", 2, 1)])
    store.set_opinion(Opinion(bytes(32), 2, 1))
    store.close()
    db = sqlite3.connect(path)
    db.execute(change)
    db.commit()
    db.close()
    store = EventStore(path)
    with pytest.raises(StoreCorrupted, match="Nothing was changed"):
        _ = store.events(), store.opinions(), store.item_opinions()
    store.close()


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.db").mkdir()
    with pytest.raises(StoreCorrupted):
        EventStore(tmp_path / "events.db")


def test_a_full_disk_is_not_called_damage_and_loses_nothing(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.add_events([StoredEvent("a", 2, 1)])
    with store._database() as db:
        db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(DiskFull, match="no room left"):
        store.add_events([StoredEvent("x" * 4000, 2, n) for n in range(9)])
    assert store.events() == [StoredEvent("a", 2, 1)]
    store.close()


def test_an_event_survives_a_process_that_dies_at_once(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from sdk.store import EventStore, StoredEvent;"
        "EventStore(pathlib.Path(sys.argv[1])).add_events([StoredEvent('a', 2, 1)]); os._exit(9)"
    )
    path, root = tmp_path / "events.db", Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code, str(path)], cwd=root, check=False).returncode == 9
    store = EventStore(path)
    assert store.events() == [StoredEvent("a", 2, 1)]
    store.close()


def test_every_call_on_a_closed_store_says_so(tmp_path: Path) -> None:
    store = EventStore(tmp_path / "events.db")
    store.close()
    for call in (
        lambda: store.add_events([]),
        store.count_events,
        store.items,
        store.opinions,
        lambda: store.set_opinion(Opinion(bytes(32), 1, 0)),
        lambda: store.remove_opinion(bytes(32)),
    ):
        with pytest.raises(Closed):
            call()
