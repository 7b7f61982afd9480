"""Recording and what follows from it: actions, clocks, blocked items, taking along, forgetting."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_runtime import Action, HistoryEvent
from p2p import AdjacencyRecord, Identity, ItemEdge, RecordStore, TrustEdge, item_key, sign_record
from sdk import BLOCKED, InvalidInput, ReasonKind, Recommender, RecommenderConfig, UnknownItem
from sdk.candidates import newest_known

NOW = 1_700_000_000
DAY = 86_400
ROOT = Path(__file__).parents[2]
Opener = Callable[..., Recommender]


def _read(me: Recommender, now: int = NOW) -> list[str]:
    return [event.item for event in newest_known(me._device, now)]


def _items(me: Recommender, **options: object) -> set[str]:
    return {pick.item for pick in me.recommend(60, **options)}  # type: ignore[arg-type]


def test_a_play_is_read_as_a_view_and_an_impression_is_not_read(opened: Opener) -> None:
    with opened() as me:
        me.record("item-1", "play", at=NOW - 3)
        me.record("item-2", "impression", at=NOW - 2)
        me.record("item-3", "Purchase", at=NOW - 1)
        read = [("item-1", Action.VIEW, NOW - 3), ("item-3", Action.BUY, NOW - 1)]
        assert newest_known(me._device, NOW) == [HistoryEvent(*event) for event in read]
        assert {"item-1", "item-2", "item-3"} & _items(me) == {"item-2"}
        assert [event["action"] for event in me.export_my_data()["events"]] == ["play", "impression", "buy"]
        assert me.explain("item-2")[0].kind is not ReasonKind.SEEN
    with opened(config=RecommenderConfig(hide_shown=True)) as me:
        assert "item-2" not in _items(me)
        me.record("item-4", "impression")
        assert "item-4" not in _items(me)


def test_impressions_change_no_ranking(opened: Opener) -> None:
    with opened() as me:
        me.record("item-1", at=NOW - 50)
        before = me.recommend(60)
        me.record_many((f"item-{n}", "impression", NOW - 40 + n) for n in range(2, 30))
        assert me.recommend(60) == before


def test_a_clock_that_goes_back_does_not_turn_the_order_around(tmp_path: Path, tiny_bundle) -> None:
    now = float(NOW)
    with Recommender.open(
        tmp_path / "device", bundle=tiny_bundle.path, trusted_keys=[tiny_bundle.key], clock=lambda: now
    ) as me:
        me.record("item-1")
        now -= 3600  # an hour back: daylight saving, a time server
        me.record("item-2")
        assert _read(me, NOW - 3600) == ["item-1", "item-2"]
        assert me.recommend(3)
        now = NOW + 400 * DAY  # a clock that was wrong by a year …
        me.record("item-3")
        now = NOW + 60.0  # … and was set right
        me.record("item-4")
        assert _read(me, NOW + 60) == ["item-1", "item-2", "item-4"]  # item-3 is of a day that has not come
        assert "item-3" not in _items(me)  # but it was seen
        assert len(me.export_my_data()["events"]) == 4
        assert _read(me, NOW + 401 * DAY) == ["item-1", "item-2", "item-4", "item-3"]
        now = -5.0  # a board without a battery starts in 1970, or before
        me.record("item-5")
        assert me.recommend(3)
        assert me.count_events() == 5


def test_an_event_of_the_future_waits_and_is_not_lost(opened: Opener) -> None:
    with opened() as me:
        me.record("item-1", at=NOW - 10)
        before = me.recommend(20, exclude_seen=False)
        me.record("item-2", at=NOW + 30 * DAY)
        assert _read(me) == ["item-1"]
        assert [p.item for p in me.recommend(20, exclude_seen=False)] == [p.item for p in before]
        assert _read(me, NOW + 30 * DAY) == ["item-1", "item-2"]
        me.record("item-3", at=NOW + 600)  # another device's clock, some minutes ahead
        assert _read(me) == ["item-1", "item-3"]


def test_an_unknown_item_stores_nothing_of_its_batch(opened: Opener) -> None:
    with opened() as me:
        with pytest.raises(UnknownItem, match="'nope' is not in the catalog 'tiny'"):
            me.record_many([("item-1", "like", None), ("nope", "like", None)])
        with pytest.raises(UnknownItem):
            me.block_item("nope")
        assert me.count_events() == 0


def test_events_recorded_in_any_order_give_one_ranking(opened: Opener) -> None:
    events = [(f"item-{n}", "like", NOW - 1000 + n) for n in range(12)]
    with opened("forward") as me:
        me.record_many(events)
        expected = me.recommend(20)
    with opened("backward") as me:
        for event in reversed(events):
            me.record_many([event])
        assert me.recommend(20) == expected


def test_one_more_event_costs_one_step_of_the_model(opened: Opener) -> None:
    with opened() as me:
        for n in range(4):
            me.record(f"item-{n}", at=NOW - 100 + n)
        me.recommend(5)
        session = me._device.model.ranker._session
        ran: list[str] = []
        run = session.run

        def counted(method: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
            ran.append(method)
            return run(method, *inputs)

        session.run = counted  # type: ignore[method-assign]
        for n in range(4, 7):
            me.record(f"item-{n}", at=NOW - 100 + n)
            me.recommend(5)
            me.explain("item-1")
        assert set(ran) == {"extend"}


def test_blocked_items_are_never_shown(opened: Opener) -> None:
    with opened() as me:
        me.block_item("item-7")
        me.block_item("item-7")
        me.block_item("item-5")
        assert me.blocked_items() == ["item-5", "item-7"]
        assert not {"item-5", "item-7"} & _items(me, exclude_seen=False)
        assert "item-7" not in {pick.item for pick in me.similar("item-1", 60)}
        assert ReasonKind.BLOCKED in {reason.kind for reason in me.explain("item-7")}
    with opened() as me:
        assert me.unblock_item("item-7")
        assert not me.unblock_item("item-7")
        assert "item-7" in _items(me)


def test_everything_known_of_the_person_can_be_taken_along(opened: Opener) -> None:
    friend = Identity.create().peer_id
    with opened() as me:
        me.record("item-1", "buy", at=NOW)
        me.vouch(friend, 3)
        me.block_item("item-9")
        data = json.loads(json.dumps(me.export_my_data()))
        assert data["peer"] == me.peer_id.hex()
        assert data["events"] == [{"item": "item-1", "title": "Title 1", "action": "buy", "at": NOW}]
        assert [(o["peer"], o["level"]) for o in data["opinions"]] == [(friend.hex(), 3)]
        assert data["blocked_items"] == ["item-9"]


def test_forgetting_an_item_is_as_if_it_had_never_been(opened: Opener, tmp_path: Path) -> None:
    with opened("never") as me:
        me.record("item-1", at=NOW - 20)
        expected = me.recommend(60)
    with opened() as me:
        me.record("item-1", at=NOW - 20)
        me.record("item-2", "buy", at=NOW - 10)
        assert me.recommend(60) != expected
        gone = me.forget("item-2")
        assert (gone.events, gone.opinions, gone.blocked_items) == (1, 0, 0)
        assert me.recommend(60) == expected
        assert me.forget("never there").events == 0
        with pytest.raises(InvalidInput):
            me.forget()
        with pytest.raises(InvalidInput):
            me.forget("item-1", everything=True)
    files = [path for path in (tmp_path / "device").glob("*") if path.is_file()]
    assert [path.name for path in files if b"item-2" in path.read_bytes()] == []


def test_forgetting_everything_leaves_a_device_that_knows_nobody(opened: Opener) -> None:
    friend = Identity.create().peer_id
    with opened("new") as me:
        expected = me.recommend(60)
    with opened() as me:
        me.record_many((f"item-{n}", "like", NOW - n) for n in range(9))
        me.vouch(friend)
        me.block_item("item-9")
        gone = me.forget(everything=True)
        assert (gone.events, gone.opinions, gone.blocked_items) == (9, 1, 1)
        assert (me.count_events(), me.opinions(), me.blocked_items()) == (0, [], [])
        assert me.recommend(60) == expected


def test_opinions_are_kept_per_community(opened: Opener) -> None:
    friend = Identity.create().peer_id
    with opened(community="chess") as me:
        me.vouch(friend, 3)
        assert [(o.peer, o.level) for o in me.opinions()] == [(friend, 3)]
    with opened() as me:
        assert me.opinions() == []
        me.block(friend)
        assert [o.level for o in me.opinions()] == [BLOCKED]
        assert len(me.export_my_data()["opinions"]) == 2
    with opened(community="chess") as me:
        assert [o.level for o in me.opinions()] == [3]


def test_the_trust_graph_shows_who_vouches_for_whom(opened: Opener, tmp_path: Path) -> None:
    friend, other, enemy = (Identity.create() for _ in range(3))
    with opened() as me:
        me.vouch(friend.peer_id, 3)
        me.block(enemy.peer_id)
    store = RecordStore(tmp_path / "device" / "records.db")
    vouching = AdjacencyRecord(friend.peer_id, 1, 0, (TrustEdge(other.peer_id, 2),), ())
    liking = AdjacencyRecord(other.peer_id, 1, 0, (), (ItemEdge(item_key("tiny", "item-7"), 3, 1),))
    assert store.put_many([sign_record(vouching, friend), sign_record(liking, other)]) == [None, None]
    store.close()
    with opened() as me:
        graph = me.trust_graph()
        assert [node.peer for node in graph.nodes] == [me.peer_id, friend.peer_id, other.peer_id, enemy.peer_id]
        assert [(n.me, n.direct, n.blocked, n.items) for n in graph.nodes] == [
            (True, False, False, 0),
            (False, True, False, 0),
            (False, False, False, 1),
            (False, False, True, 0),
        ]
        edges = {(edge.source, edge.target, edge.level) for edge in graph.edges}
        assert edges == {(me.peer_id, friend.peer_id, 3), (friend.peer_id, other.peer_id, 2)}
        assert graph.trusted == 2
        assert json.loads(json.dumps(graph.as_json()))["nodes"][1]["peer"] == friend.peer_id.hex()
        assert len(me.trust_graph(1).nodes) == 3  # the person, the friend, whom the person blocked
        for limit in (0, 1001, "x"):
            with pytest.raises(InvalidInput):
                me.trust_graph(limit)  # type: ignore[arg-type]


_OPEN_TWICE = """
import sys
from sdk import AlreadyOpen, Recommender
try:
    Recommender.open(sys.argv[1])
except AlreadyOpen as error:
    print(error)
"""


def test_a_second_process_is_refused_and_harms_nothing(opened: Opener, tmp_path: Path) -> None:
    with opened() as me:
        me.record("item-1")
        command = [sys.executable, "-c", _OPEN_TWICE, str(tmp_path / "device")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "is open in another process; close that one first" in done.stdout
        me.record("item-2")
        assert me.count_events() == 2
