"""The record store: whole batches or nothing, the newest of each author, proofs kept, bounded, never half written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p.errors import Rejected, StoreCorrupted, StoreUnavailable
from p2p.identity import Identity, PeerId
from p2p.record import EQUIVOCATED, AdjacencyRecord, ItemEdge, SignedRecord, TrustEdge, sign_record, tombstone
from p2p.store import RecordStore

AUTHORS = [Identity.from_seed(bytes([i]) * 32) for i in range(6)]
ANN, BEN, CLEO = AUTHORS[:3]


def record(author: Identity, version: int, variant: int = 0) -> SignedRecord:
    items = (ItemEdge(bytes([variant]) * 16, 1, 1),) if variant else ()
    return sign_record(AdjacencyRecord(author.peer_id, version, 3600, (), items), author)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "records.db"


@pytest.fixture
def store(path: Path) -> Iterator[RecordStore]:
    opened = RecordStore(path)
    yield opened
    opened.close()


def test_the_newest_record_of_each_author_is_kept(store: RecordStore) -> None:
    batch = [record(ANN, 2), record(BEN, 1), record(ANN, 1), record(ANN, 3), record(ANN, 3)]
    assert store.put_many(batch) == [None, None, Rejected.STALE, None, Rejected.STALE]
    assert store.get(ANN.peer_id) == record(ANN, 3)
    assert store.get(CLEO.peer_id) is None
    assert [r.record.author for r in store.records()] == [BEN.peer_id, ANN.peer_id]
    assert {author: version for author, version, _ in store.summary()} == {ANN.peer_id: 3, BEN.peer_id: 1}
    assert store.entry(ANN.peer_id) == (3, record(ANN, 3).digest)
    assert store.wire(BEN.peer_id) == (record(BEN, 1).to_bytes(),)
    assert store.wire(CLEO.peer_id) == ()
    assert len(store) == 2


def test_a_tombstone_replaces_what_was_said(store: RecordStore) -> None:
    store.put_many([record(ANN, 1, variant=1)])
    gone = sign_record(tombstone(ANN.peer_id, 2, 7200), ANN)
    assert store.put_many([gone, record(ANN, 1, variant=1)]) == [None, Rejected.STALE]
    assert store.get(ANN.peer_id) == gone


def test_everything_is_there_after_reopening(store: RecordStore, path: Path) -> None:
    store.put_many([record(ANN, 2), record(BEN, 1), record(CLEO, 1), record(CLEO, 1, variant=1)])
    store.raise_own_version(9)
    before = (store.records(), store.entries(), store.distrusted(), store.proof(CLEO.peer_id))
    store.close()
    again = RecordStore(path)
    assert (again.records(), again.entries(), again.distrusted(), again.proof(CLEO.peer_id)) == before
    assert again.own_version() == 9
    again.close()


def test_two_records_with_one_version_convict_their_author(store: RecordStore) -> None:
    first, second = record(ANN, 4, variant=1), record(ANN, 4, variant=2)
    assert store.put_many([first]) == [None]
    assert store.put_many([second, record(ANN, 5)]) == [Rejected.EQUIVOCATION] * 2
    assert store.proof(ANN.peer_id) == (first, second)
    assert store.wire(ANN.peer_id) == (first.to_bytes(), second.to_bytes())
    assert store.distrusted() == {ANN.peer_id}
    assert store.get(ANN.peer_id) is None
    assert store.summary() == []
    assert store.entries() == [(ANN.peer_id, EQUIVOCATED, bytes(32))]
    assert store.proof(BEN.peer_id) is None


def test_a_proof_convicts_even_if_a_newer_record_is_known(store: RecordStore) -> None:
    store.put_many([record(ANN, 9)])
    outcomes = store.put_many([record(ANN, 4, variant=1), record(ANN, 4, variant=2)])
    assert outcomes == [Rejected.STALE, Rejected.EQUIVOCATION]
    assert store.distrusted() == {ANN.peer_id}


def test_the_oldest_proof_is_forgotten_when_there_are_too_many(path: Path) -> None:
    store = RecordStore(path, max_proofs=2)
    for author in (ANN, BEN, CLEO):
        store.put_many([record(author, 1, variant=1), record(author, 1, variant=2)])
    assert store.distrusted() == {BEN.peer_id, CLEO.peer_id}
    assert store.take_evicted() == {ANN.peer_id: EQUIVOCATED}
    store.close()
    again = RecordStore(path)
    assert again.distrusted() == {BEN.peer_id, CLEO.peer_id}
    again.close()


def test_an_exception_within_a_batch_stores_nothing_of_it(store: RecordStore, path: Path) -> None:
    store.put_many([record(ANN, 1), record(BEN, 1)])
    before = (store.records(), store.entries())

    def interrupted() -> Iterator[SignedRecord]:
        yield record(ANN, 2)
        yield record(CLEO, 1)
        yield record(BEN, 1, variant=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.put_many(interrupted())
    assert (store.records(), store.entries()) == before
    store.close()
    again = RecordStore(path)
    assert (again.records(), again.entries()) == before
    assert again.put_many([record(ANN, 2)]) == [None]
    again.close()


def test_a_file_that_cannot_be_written_changes_nothing(store: RecordStore, path: Path) -> None:
    store.put_many([record(ANN, 1)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA busy_timeout=0")
    other.execute("BEGIN IMMEDIATE")
    store._tables._db.execute("PRAGMA busy_timeout=0")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.put_many([record(ANN, 2)])
    assert store.entry(ANN.peer_id) == (1, record(ANN, 1).digest)
    other.execute("COMMIT")
    other.close()
    assert store.put_many([record(ANN, 2)]) == [None]


def test_a_full_store_evicts_the_fewest_hits_then_the_oldest(path: Path) -> None:
    hits = {ANN.peer_id: 5.0}
    store = RecordStore(path, max_authors=3, hits=lambda author: hits.get(author, 0.0))
    store.put_many([record(author, 1) for author in (ANN, BEN, CLEO)])
    store.put_many([record(BEN, 2)])
    assert store.put_many([record(AUTHORS[3], 1)]) == [None]  # instead of Cleo, who was updated longest ago
    assert {a for a, _, _ in store.summary()} == {ANN.peer_id, BEN.peer_id, AUTHORS[3].peer_id}
    assert store.take_evicted() == {CLEO.peer_id: 1}
    assert store.take_evicted() == {}
    hits.update({BEN.peer_id: 2.0, AUTHORS[3].peer_id: 2.0})
    assert store.put_many([record(CLEO, 1), record(BEN, 3)]) == [Rejected.FULL, None]
    assert len(store) == 3
    store.close()


def test_the_device_itself_is_never_evicted(path: Path) -> None:
    store = RecordStore(path, max_authors=1)
    store.pin(ANN.peer_id)
    assert store.put_many([record(BEN, 1), record(ANN, 1), record(CLEO, 1)]) == [None, None, Rejected.FULL]
    assert [author for author, _, _ in store.summary()] == [ANN.peer_id]
    store.close()


def test_the_bytes_are_bounded_too(path: Path) -> None:
    hits = {ANN.peer_id: 1.0}
    size = len(record(ANN, 1).to_bytes())
    store = RecordStore(path, max_bytes=3 * size + 1, hits=lambda author: hits.get(author, 0.0))
    assert store.put_many([record(author, 1) for author in AUTHORS[:3]]) == [None] * 3
    assert store.n_bytes == 3 * size
    assert store.put_many([record(AUTHORS[3], 1)]) == [None]
    assert store.take_evicted() == {BEN.peer_id: 1}
    longer = record(CLEO, 2, variant=1)
    assert store.put_many([longer]) == [None]  # it grows, so somebody else goes
    assert set(store.take_evicted()) == {AUTHORS[3].peer_id}
    assert store.n_bytes == size + len(longer.to_bytes())
    store.close()
    again = RecordStore(path)
    assert again.n_bytes == size + len(longer.to_bytes())
    again.close()


def test_a_record_larger_than_all_room_is_refused(path: Path) -> None:
    store = RecordStore(path, max_bytes=50)
    assert store.put_many([record(ANN, 1)]) == [Rejected.FULL]
    assert len(store) == 0
    store.close()


def test_an_update_is_not_the_victim_of_itself(path: Path) -> None:
    store = RecordStore(path, max_bytes=2 * len(record(ANN, 1).to_bytes()))
    store.put_many([record(ANN, 1), record(BEN, 1)])
    assert store.put_many([record(ANN, 2, variant=1)]) == [None]
    assert [r.author for r in store.records()] == [ANN.peer_id]
    store.close()


def test_records_that_name_a_peer_are_found(store: RecordStore) -> None:
    vouching = sign_record(AdjacencyRecord(ANN.peer_id, 1, 3600, (TrustEdge(CLEO.peer_id, 1),), ()), ANN)
    store.put_many([vouching, record(BEN, 1), record(CLEO, 1)])
    assert store.mentioning([CLEO.peer_id]) == [vouching, record(CLEO, 1)]
    assert store.mentioning([PeerId(bytes(32))]) == []
    many = [PeerId(i.to_bytes(32, "big")) for i in range(100)]
    assert store.mentioning([*many, BEN.peer_id]) == [record(BEN, 1)]


def test_the_own_version_only_rises(store: RecordStore) -> None:
    assert store.own_version() == 0
    for version, expected in ((3, 3), (2, 3), (7, 7)):
        store.raise_own_version(version)
        assert store.own_version() == expected


def test_other_tables_in_the_file_are_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE event (name TEXT)")
        other.execute("INSERT INTO event VALUES ('mine')")
    other.close()
    store = RecordStore(path)
    store.put_many([record(ANN, 1)])
    store.close()
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM event").fetchall() == [("mine",)]
        names = [row[0] for row in other.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    other.close()
    assert all(name.startswith("p2p_") for name in names if name != "event")


def filled(path: Path) -> bytes:
    store = RecordStore(path)
    store.put_many([record(author, 1, variant=i + 1) for i, author in enumerate(AUTHORS)])
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreCorrupted, match="move it away"):
        RecordStore(path)
    assert path.read_bytes() == content


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damage_is_found_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("store") / "records.db"
    content = bytearray(filled(path))
    start = data.draw(st.integers(0, len(content) - 1))
    damage = data.draw(st.binary(min_size=1, max_size=400))
    content[start : start + len(damage)] = damage[: len(content) - start]
    path.write_bytes(content)
    try:
        store = RecordStore(path)
    except (StoreCorrupted, StoreUnavailable):
        return
    try:
        assert {signed.record.author for signed in store.records()} <= {author.peer_id for author in AUTHORS}
    except StoreCorrupted:
        return
    finally:
        store.close()


def test_a_damaged_record_is_not_served_as_if_it_were_whole(path: Path) -> None:
    filled(path)
    store = RecordStore(path)
    with sqlite3.connect(path) as other:
        other.execute("UPDATE p2p_record SET record = zeroblob(100) WHERE author = ?", (ANN.peer_id,))
    other.close()
    with pytest.raises(StoreCorrupted, match="move it away"):
        store.get(ANN.peer_id)
    assert store.get(BEN.peer_id) is not None
    store.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE p2p_record SET record = zeroblob(100) WHERE version = 1",
        "UPDATE p2p_record SET record = 'text' WHERE version = 1",
        "UPDATE p2p_record SET digest = zeroblob(32) WHERE version = 1",
        "UPDATE p2p_record SET version = 2 WHERE version = 1",
        "UPDATE p2p_record SET author = x'00' WHERE rowid = 1",
        "UPDATE p2p_equivocation SET first = zeroblob(100)",
        "UPDATE p2p_equivocation SET second = 7",
        "UPDATE p2p_equivocation SET author = x'00'",
    ],
)
def test_columns_that_do_not_agree_are_found_on_opening(path: Path, damage: str) -> None:
    filled(path)
    store = RecordStore(path)
    store.put_many([record(BEN, 3, variant=1), record(BEN, 3, variant=2)])
    store.close()
    with sqlite3.connect(path) as other:
        other.execute(damage)
    other.close()
    with pytest.raises(StoreCorrupted, match="move it away"):
        RecordStore(path)


def test_a_file_that_cannot_be_opened_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        RecordStore(tmp_path / "no such folder" / "records.db")


def test_a_closed_store_says_so(store: RecordStore) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        store.get(ANN.peer_id)
    with pytest.raises(StoreUnavailable, match="closed"):
        store.put_many([record(ANN, 1)])


def test_many_threads_may_use_it(store: RecordStore) -> None:
    failed: list[tuple[PeerId, int]] = []

    def work(author: Identity) -> None:
        for version in range(1, 21):
            outcome = store.put_many([record(author, version)])
            if outcome != [None] or store.get(author.peer_id) != record(author, version):
                failed.append((author.peer_id, version))

    threads = [threading.Thread(target=work, args=(author,)) for author in AUTHORS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert {version for _, version, _ in store.summary()} == {20}


operations = st.lists(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 2)), max_size=4), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(operations)
def test_any_order_of_batches_agrees_with_a_plain_model(batches: list[list[tuple[int, int, int]]]) -> None:
    """Model: per author the highest version; two variants of one version among those kept or in one batch convict."""
    store = RecordStore(":memory:")
    kept: dict[int, tuple[int, int]] = {}
    convicted: set[int] = set()
    for batch in batches:
        seen: dict[tuple[int, int], int] = {}
        for author, version, variant in batch:
            twin = seen.setdefault((author, version), variant)
            if author in convicted:
                continue
            if twin != variant or (author in kept and kept[author][0] == version and kept[author][1] != variant):
                convicted.add(author)
                kept.pop(author, None)
            elif version > kept.get(author, (0, 0))[0]:
                kept[author] = (version, variant)
        store.put_many([record(AUTHORS[author], version, variant) for author, version, variant in batch])
        assert store.distrusted() == {AUTHORS[author].peer_id for author in convicted}
        assert {r.record.author: r for r in store.records()} == {
            AUTHORS[author].peer_id: record(AUTHORS[author], *of) for author, of in kept.items()
        }
    store.close()
