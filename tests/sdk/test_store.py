"""The private store: durable, ordered, whole or refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sdk.errors import Closed, DeviceFolderInvalid, StoreCorrupted
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
