"""`Recommender` as an app meets it, with a real program in the real runtime; only the network is left out."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

import p2p
from device_runtime import BundleError, BundleTampered, ModelFailed, UntrustedPublisher
from p2p import AdjacencyRecord, Identity, ItemEdge, RecordStore, TrustEdge, item_key, sign_record
from sdk import (
    AlreadyOpen,
    Closed,
    InvalidInput,
    NotConnected,
    ReasonKind,
    Recommender,
    RecommenderConfig,
    RuntimeSettings,
    SharingPolicy,
    StoreCorrupted,
    UnknownItem,
)


def _store_records(folder: Path, records: list) -> None:
    store = RecordStore(folder / "records.db")
    assert store.put_many(records) == [None] * len(records)
    store.close()


def _record(author: Identity, items: list[str], trust: list[Identity] | None = None):
    edges = sorted((ItemEdge(item_key("tiny", item), 3, 100) for item in items), key=lambda e: e.key)
    vouches = sorted((TrustEdge(peer.peer_id, 3) for peer in trust or []), key=lambda e: e.peer)
    return sign_record(AdjacencyRecord(author.peer_id, 1, 0, tuple(vouches), tuple(edges)), author)


def test_recommendations_leave_out_what_was_seen_and_carry_reasons(opened) -> None:
    with opened() as me:
        for item in ("item-1", "item-2", "item-3"):
            me.record(item, "like")
        picks = me.recommend(20)
        assert len(picks) == 20
        assert len({pick.item for pick in picks}) == 20
        assert not {"item-1", "item-2", "item-3"} & {pick.item for pick in picks}
        assert all(pick.reasons and pick.title.startswith("Title ") for pick in picks)
        assert [p.score for p in picks] == sorted((p.score for p in picks), reverse=True)
        assert "item-1" in {p.item for p in me.recommend(60, exclude_seen=False)} or len(picks) == 20


def test_a_device_without_history_gets_an_answer(opened) -> None:
    with opened() as me:
        picks = me.recommend(5)
        assert len(picks) == 5
        assert picks[0].reasons[0].text == "the model's guess before it knows you"
        assert me.recommend(5, source="peers") == []


def test_events_are_durable_and_the_answer_is_the_same_after_reopening(opened) -> None:
    with opened() as me:
        me.record("item-1", "like", at=1_600_000_000)
        before = [pick.item for pick in me.recommend(10, now=1_600_000_100)]
    with opened() as me:
        assert me.count_events() == 1
        assert [pick.item for pick in me.recommend(10, now=1_600_000_100)] == before


@pytest.mark.parametrize(
    ("item", "action", "at", "error"),
    [
        ("nope", "like", 0, UnknownItem),
        ("item-1", "eat", 0, InvalidInput),
        ("item-1", "pad", 0, InvalidInput),
        ("item-1", "like", -1, InvalidInput),
        ("item-1", "like", 1 << 40, InvalidInput),
    ],
)
def test_a_bad_event_stores_nothing_of_its_batch(opened, item: str, action: str, at: int, error: type) -> None:
    with opened() as me:
        with pytest.raises(error):
            me.record_many([("item-2", "like", 5), (item, action, at)])
        assert me.count_events() == 0


def test_what_peers_said_is_ranked_from_disk_with_names_of_peers(opened, tmp_path: Path) -> None:
    friend, other = Identity.create(), Identity.create()
    with opened() as me:
        me.vouch(friend.peer_id, 3)
    records = [_record(friend, ["item-7"], [other]), _record(other, ["item-7", "item-9"])]
    _store_records(tmp_path / "device", records)
    with opened() as me:
        picks = me.recommend(5, source="peers")
        assert [pick.item for pick in picks] == ["item-7", "item-9"]
        assert picks[0].reasons[0].text == (
            f"2 peers you trust like this, among them your friend {friend.peer_id.hex()[:8]}"
        )
        assert picks[0].reasons[0].peers[0] == friend.peer_id
        assert [peer for peer, _ in me.trusted_peers()] == [friend.peer_id, other.peer_id]
        assert me.count_records() == 2
        assert "item-7" in {pick.item for pick in me.recommend(10)}
        me.block(friend.peer_id)
        assert me.recommend(5, source="peers") == []
        assert me.unvouch(friend.peer_id)
        assert not me.unvouch(friend.peer_id)


def test_strangers_records_change_nothing(opened, tmp_path: Path) -> None:
    with opened() as me:
        me.record("item-1", "like")
        before = me.recommend(10)
    strangers = [Identity.create() for _ in range(20)]
    _store_records(tmp_path / "device", [_record(s, ["item-1", "item-50"], [strangers[0]]) for s in strangers[1:]])
    with opened() as me:
        assert me.recommend(10) == before
        assert me.recommend(10, source="peers") == []


def test_items_outside_the_catalog_are_walked_over_but_not_shown(opened, tmp_path: Path) -> None:
    friend = Identity.create()
    with opened() as me:
        me.vouch(friend.peer_id)
    _store_records(tmp_path / "device", [_record(friend, ["item-7", "not in this catalog"])])
    with opened() as me:
        assert [pick.item for pick in me.recommend(5, source="peers")] == ["item-7"]


def test_explain_says_why_or_that_there_is_no_reason(opened) -> None:
    with opened() as me:
        me.record("item-1", "like")
        assert me.explain("item-1")[0].kind is ReasonKind.SEEN
        kinds = {item: {reason.kind for reason in me.explain(item)} for item in (f"item-{n}" for n in range(2, 60))}
        assert all(kinds.values())
        assert {ReasonKind.NONE} in kinds.values()
        with pytest.raises(UnknownItem):
            me.explain("nope")


def test_arguments_out_of_range_are_refused(opened) -> None:
    with opened() as me:
        for k in (0, 1001):
            with pytest.raises(InvalidInput, match="k must be"):
                me.recommend(k)
        with pytest.raises(InvalidInput, match="source"):
            me.recommend(source="guess")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="level"):
            me.vouch(bytes(32), 4)
        with pytest.raises(InvalidInput, match="32 bytes"):
            me.vouch(b"short")
        with pytest.raises(InvalidInput, match="itself"):
            me.vouch(me.peer_id)


def test_publishing_needs_the_network_and_a_policy(opened) -> None:
    with opened(config=RecommenderConfig(sharing=SharingPolicy.ITEMS)) as me:
        me.record("item-1", "like")
        assert me.shared_now() == {"items": 1, "vouches": 0}
        with pytest.raises(NotConnected):
            me.publish()
        with pytest.raises(NotConnected):
            me.network_status()
    with opened("private") as me:
        me.record("item-1", "like")
        assert me.shared_now() == {"items": 0, "vouches": 0}


def test_a_closed_or_doubly_opened_device_says_so(opened) -> None:
    me = opened()
    with pytest.raises(AlreadyOpen):
        opened()
    me.close()
    me.close()
    for call in (lambda: me.recommend(), lambda: me.record("item-1"), lambda: me.vouch(bytes(32))):
        with pytest.raises(Closed):
            call()
    opened().close()


def test_a_bad_bundle_leaves_no_device_behind(tmp_path: Path, tiny_bundle) -> None:
    with pytest.raises(UntrustedPublisher):
        Recommender.open(tmp_path / "device", bundle=tiny_bundle.path, trusted_keys=[bytes(32)])
    copy = tmp_path / "copy"
    shutil.copytree(tiny_bundle.path, copy)
    content = bytearray((copy / "model.pte").read_bytes())
    content[-1] ^= 1
    (copy / "model.pte").write_bytes(content)
    with pytest.raises(BundleTampered):
        Recommender.open(tmp_path / "device", bundle=copy, trusted_keys=[tiny_bundle.key])
    with pytest.raises(BundleError):
        Recommender.open(tmp_path / "device", bundle=tmp_path / "nothing", trusted_keys=[tiny_bundle.key])
    assert not (tmp_path / "device").exists()


def test_many_threads_may_use_one_recommender(opened) -> None:
    failures: list[BaseException] = []
    with opened() as me:
        expected = [pick.item for pick in me.recommend(5, now=1_700_000_000)]

        def work(number: int) -> None:
            try:
                for step in range(5):
                    me.recommend(5, now=1_700_000_000)
                    me.record(f"item-{10 * number + step}", "view")
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert me.count_events() == 20
        assert len(expected) == 5


def test_how_the_model_runs_can_be_configured(opened) -> None:
    with opened(config=RecommenderConfig(runtime=RuntimeSettings(threads=2, warm_up=False))) as me:
        assert len(me.recommend(3)) == 3
    with pytest.raises(ModelFailed, match="are allowed"):
        opened(config=RecommenderConfig(runtime=RuntimeSettings(arena_bytes=64)))


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bad_bundle_changes_nothing_of_a_device_that_exists(
    opened, tmp_path: Path, tiny_bundle, newer_bundle
) -> None:
    with opened() as me:
        me.record("item-1")
    before = _files(tmp_path / "device")
    copy = tmp_path / "copy"
    for name in ("model.pte", "catalog.bin", "manifest.json", "manifest.sig"):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(newer_bundle(2), copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(BundleError):
            Recommender.open(tmp_path / "device", bundle=copy, trusted_keys=[tiny_bundle.key])
    with pytest.raises(UntrustedPublisher):
        Recommender.open(tmp_path / "device", bundle=newer_bundle(2), trusted_keys=[bytes(32)])
    after = _files(tmp_path / "device")
    assert {name: after[name] for name in before} == before


def test_a_friend_on_disk_moves_the_blended_ranking_and_is_named(opened, tmp_path: Path) -> None:
    friend = Identity.create()
    with opened() as me:
        me.record("item-1")
        me.vouch(friend.peer_id, 3)
        before = me.recommend(60)
        last = before[-1]
        assert all(pick.peer_rank is None for pick in before)
    _store_records(tmp_path / "device", [_record(friend, [last.item])])
    with opened() as me:
        after = {pick.item: pick for pick in me.recommend(60)}
        moved = after[last.item]
        assert moved.peer_rank == 1
        assert list(after).index(last.item) < len(before) - 1
        assert moved.score > last.score
        assert {reason.kind for reason in moved.reasons} == {ReasonKind.PEERS, ReasonKind.HISTORY}
        assert moved.reasons[0].text == f"your friend {friend.peer_id.hex()[:8]} likes this"
        assert moved.reasons[0] in me.explain(last.item)
        assert me.unvouch(friend.peer_id)
        assert me.recommend(60) == before


def test_opinions_survive_reopening(opened, tmp_path: Path) -> None:
    friend = Identity.create()
    with opened() as me:
        me.block(friend.peer_id)
        me.vouch(friend.peer_id)
    _store_records(tmp_path / "device", [_record(friend, ["item-7"])])
    with opened() as me:
        assert [pick.item for pick in me.recommend(source="peers")] == ["item-7"]
        me.block(friend.peer_id)
    with opened() as me:
        assert me.recommend(source="peers") == []
        assert me.trusted_peers() == []


def test_seen_items_come_back_on_request_only(opened) -> None:
    with opened() as me:
        first = me.recommend(1)[0].item
        me.record(first, "dislike")
        assert first not in {pick.item for pick in me.recommend(60)}
        assert me.explain(first)[0].kind is ReasonKind.SEEN
        for number in range(60):
            me.record(f"item-{number}", "view")
        assert me.recommend(60) == []
        assert me.recommend(60, exclude_seen=False, source="model")


def test_k_bounds_the_answer(opened) -> None:
    with opened() as me:
        for source in ("blend", "model"):
            assert len(me.recommend(1, source=source)) == 1
            ids = [pick.item for pick in me.recommend(1000, source=source)]
            assert 1 < len(ids) == len(set(ids)) <= 60


def test_four_threads_use_every_part_at_once(opened) -> None:
    failures: list[BaseException] = []
    friends = [Identity.create().peer_id for _ in range(4)]
    with opened() as me:

        def work(number: int) -> None:
            try:
                for step in range(4):
                    me.record_many([(f"item-{10 * number + step}", "like", 1_600_000_000 + step)])
                    me.vouch(friends[number], 1 + step % 3)
                    assert all(pick.reasons for pick in me.recommend(3))
                    assert me.explain(f"item-{step}")
                    me.trusted_peers()
                    me.shared_now()
                me.block(friends[number])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert failures == []
        assert me.count_events() == 16
        assert me.trusted_peers() == []


def test_every_call_on_a_closed_recommender_says_so(opened) -> None:
    me = opened()
    me.close()
    for call in (
        lambda: me.record_many([("item-1", "like", 0)]),
        lambda: me.block(bytes(32)),
        lambda: me.unvouch(bytes(32)),
        lambda: me.explain("item-1"),
        me.trusted_peers,
        me.connect,
        me.publish,
        me.network_status,
        me.count_events,
        me.count_records,
        me.shared_now,
    ):
        with pytest.raises(Closed):
            call()


@pytest.mark.parametrize("name", ["events.db", "records.db"])
def test_a_damaged_store_is_refused_and_the_folder_can_be_opened_once_it_is_gone(
    opened, tmp_path: Path, name: str
) -> None:
    opened().close()
    path = tmp_path / "device" / name
    path.write_bytes(b"?" * 5000)
    for _ in range(2):  # the second time shows that the first released the lock
        with pytest.raises((StoreCorrupted, p2p.StoreCorrupted)):
            opened()
    assert path.read_bytes() == b"?" * 5000
    path.unlink()
    opened().close()
