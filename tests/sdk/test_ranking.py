"""What a request may ask for: filters, variety, trying out, items alike, and what was kept out and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import Catalog, ModelRanker, Steering
from p2p import AdjacencyRecord, Identity, ItemEdge, RecordStore, TrustEdge, item_key, sign_record
from sdk import (
    Ask,
    FilterKind,
    Filters,
    InvalidInput,
    NotSteerable,
    ReasonKind,
    Recommender,
    UnknownCategory,
    UnknownItem,
)

NOW = 1_700_000_000
Opener = Callable[..., Recommender]
EVEN = {f"item-{n}" for n in range(0, 60, 2)}
TENS = {f"item-{n}" for n in range(0, 60, 10)}
names = st.sampled_from([f"item-{n}" for n in range(8)] + ["not there"])
kinds = st.sampled_from(["red", "blue", "round"])


def _records(folder: Path, said: dict[Identity, tuple[list[str], list[Identity]]]) -> None:
    store = RecordStore(folder / "records.db")
    records = []
    for author, (items, trusted) in said.items():
        edges = sorted((ItemEdge(item_key("tiny", item), 3, 100) for item in items), key=lambda e: e.key)
        vouches = sorted((TrustEdge(peer.peer_id, 3) for peer in trusted), key=lambda e: e.peer)
        records.append(sign_record(AdjacencyRecord(author.peer_id, 1, 0, tuple(vouches), tuple(edges)), author))
    assert store.put_many(records) == [None] * len(records)
    store.close()


def _ids(picks: list) -> list[str]:
    return [pick.item for pick in picks]


def test_filters_are_counted_inside_the_search(opened: Opener) -> None:
    with opened() as me:
        me.record("item-10")
        whole = _ids(me.recommend(60))
        for filters, wanted in (
            (Filters(categories=["even"]), EVEN),
            (Filters(categories={"tens"}), TENS),
            (Filters(categories=["tens", "odd"]), (set(whole) - EVEN) | TENS),
            (Filters(not_categories=["even"]), set(whole) - EVEN),
            (Filters(items=["item-3", "item-4", "not there"]), {"item-3", "item-4"}),
            (Filters(not_items=["item-3"]), set(whole) - {"item-3"}),
            (Filters(categories=["tens"], available=["item-20", "item-21"]), {"item-20"}),
            (Filters(categories=[]), set()),
            (Filters(), set(whole)),
        ):
            picks = _ids(me.recommend(60, filters=filters))
            assert picks == [item for item in whole if item in wanted]
        assert _ids(me.recommend(2, filters=Filters(categories=["tens"]))) == [i for i in whole if i in TENS][:2]
        with pytest.raises(UnknownCategory, match="no category 'green'"):
            me.recommend(filters=Filters(categories=["green"]))
        assert me.recommend(5)


@given(
    st.none() | st.sets(kinds),
    st.sets(kinds),
    st.none() | st.sets(names),
    st.sets(names),
    st.none() | st.sets(names),
)
def test_filters_let_through_exactly_what_they_say(categories, not_categories, items, not_items, available) -> None:
    has = [{0}, {1}, {2}, {0, 2}, {1, 2}, set(), {0, 1}, {0, 1, 2}]
    codes = [[n // 4, n % 4] for n in range(8)]
    catalog = Catalog.build([f"item-{n}" for n in range(8)], codes, 4, categories=(("red", "blue", "round"), has))
    numbers = {"red": 0, "blue": 1, "round": 2}
    rows = Filters(categories, not_categories, items, not_items, available).among(catalog)
    found = {catalog.ids[row] for row in (range(8) if rows is None else np.flatnonzero(rows.mask()).tolist())}
    expected = {
        item
        for item, own in zip((f"item-{n}" for n in range(8)), has, strict=True)
        if (categories is None or own & {numbers[c] for c in categories})
        and not own & {numbers[c] for c in not_categories}
        and (items is None or item in items)
        and item not in not_items
        and (available is None or item in available)
    }
    assert found == expected


@pytest.mark.parametrize("wrong", [{"categories": "even"}, {"items": 5}, {"not_items": [1]}, {"not_categories": None}])
def test_filters_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match=r"Filters\."):
        Filters(**wrong)  # type: ignore[arg-type]


def test_variety_moves_alike_items_apart(opened: Opener) -> None:
    def alike(me: Recommender, picks: list) -> float:
        rows = me._device.model.rows(_ids(picks))
        vectors = me._device.model.vectors(rows)
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T)[np.triu_indices(len(rows), 1)].mean())

    with opened() as me:
        me.record("item-1")
        plain, varied = me.recommend(10), me.recommend(10, diversity=0.9)
        assert plain == me.recommend(10, diversity=0.0)
        assert len(set(_ids(varied))) == 10
        assert alike(me, varied) < alike(me, plain)
        for wrong in ({"diversity": -0.1}, {"diversity": 1.1}, {"explore": 2.0}, {"explore": float("nan")}):
            with pytest.raises(InvalidInput, match="between 0 and 1"):
                me.recommend(**wrong)  # type: ignore[arg-type]


def test_places_for_trying_are_the_last_and_say_so(opened: Opener) -> None:
    with opened() as me:
        me.record("item-1")
        plain = _ids(me.recommend(10))
        tried = me.recommend(10, explore=0.3)
        assert _ids(tried)[:7] == plain[:7]
        assert len(set(_ids(tried))) == 10
        assert [pick.reasons[0].kind is ReasonKind.EXPLORED for pick in tried] == [False] * 7 + [True] * 3
        assert me.recommend(10, explore=0.3) == tried
        drawn = {tuple(_ids(me.recommend(10, explore=0.3, now=NOW + n))[7:]) for n in range(5)}
        assert len(drawn) > 1
        assert "item-1" not in {i for n in range(20) for i in _ids(me.recommend(50, explore=1.0, now=NOW + n))}


def test_items_alike_are_the_nearest_by_the_models_own_vectors(opened: Opener) -> None:
    with opened() as me:
        catalog, keys = me._device.model.catalog, me._device.model.ranker.item_keys
        assert keys is not None
        unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
        row = catalog.index_of("item-5")
        order = [catalog.ids[r] for r in np.argsort(-(unit @ unit[row]), kind="stable").tolist() if r != row]
        picks = me.similar("item-5", 10)
        assert _ids(picks) == order[:10]
        assert [p.score for p in picks] == sorted((p.score for p in picks), reverse=True)
        assert picks[0].reasons[0].text == "resembles Title 5"
        me.record(picks[0].item)
        assert _ids(me.similar("item-5", 10)) == order[:10]  # seen or not
        with pytest.raises(UnknownItem):
            me.similar("nope")
        with pytest.raises(InvalidInput):
            me.similar("item-5", 0)


def test_items_alike_by_semantic_ids_share_the_longest_beginning(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for models that score codes and have no vectors of items."""
    monkeypatch.setattr(ModelRanker, "item_keys", property(lambda _: None))
    with opened() as me:
        model = me._device.model
        row = model.catalog.index_of("item-5")
        codes = model.catalog.codes.astype(int)
        shared = np.cumprod(codes == codes[row], axis=1).sum(axis=1)
        found = me.similar("item-5", 59)
        lengths = [int(shared[model.catalog.index_of(pick.item)]) for pick in found]
        assert lengths[0] == shared[np.arange(60) != row].max()
        near = model.vectors(np.arange(60))
        cosine = near @ near[row] / (np.linalg.norm(near, axis=1) * np.linalg.norm(near[row]))
        expected = [float(cosine[model.catalog.index_of(pick.item)]) for pick in found]
        assert [pick.score for pick in found] == pytest.approx(expected, abs=1e-5)
        assert len(me.recommend(10, diversity=0.5)) == 10


def test_what_was_kept_out_is_shown_with_why(opened: Opener, tmp_path: Path) -> None:
    friend, stranger, crowd = Identity.create(), Identity.create(), [Identity.create() for _ in range(3)]
    with opened() as me:
        me.vouch(friend.peer_id)
    said = {friend: (["item-7"], []), stranger: (["item-7", "item-8"], [])} | {c: (["item-9"], []) for c in crowd}
    _records(tmp_path / "device", said)
    with opened() as me:
        me.record("item-20")
        me.block_item("item-30")
        filters = Filters(categories=["even", "odd"], not_categories=["tens"], available=EVEN)
        kept = me.filtered(60, filters=filters)
        by_kind = {kind: {f.item for f in kept if f.kind is kind} for kind in FilterKind}
        assert by_kind[FilterKind.SEEN] == {"item-20"}
        assert by_kind[FilterKind.BLOCKED] == {"item-30"}
        assert by_kind[FilterKind.CATEGORY] == TENS - {"item-20", "item-30"}
        assert by_kind[FilterKind.UNAVAILABLE] == {f"item-{n}" for n in range(1, 60, 2)}
        untrusted = [f for f in kept if f.kind is FilterKind.UNTRUSTED]
        assert [f.item for f in untrusted] == ["item-9", "item-8"]  # item-7 has a trusted path
        assert set(untrusted[0].peers) == {c.peer_id for c in crowd}
        assert untrusted[0].text == "only 3 peers without your trust listed it"
        shown = set(_ids(me.recommend(60, filters=filters)))
        ranked_out = {f.item for f in kept if f.kind not in (FilterKind.UNTRUSTED, FilterKind.WITHDRAWN)}
        assert shown.isdisjoint(ranked_out)
        assert shown | ranked_out == {f"item-{n}" for n in range(60)}
        assert all(f.text for f in kept)
        assert len([f for f in me.filtered(1, filters=filters) if f.kind is FilterKind.UNAVAILABLE]) == 1
        json.dumps([f.as_json() for f in kept])


def test_exploring_reaches_what_trusted_peers_list(opened: Opener, tmp_path: Path) -> None:
    friend, stranger = Identity.create(), Identity.create()
    with opened() as me:
        me.vouch(friend.peer_id, 3)
    liked = [f"item-{n}" for n in range(60)]
    _records(tmp_path / "device", {friend: (liked, []), stranger: (["item-1"], [])})
    with opened() as me:
        picks = me.recommend(20, explore=1.0)
        assert len(set(_ids(picks))) == 20
        assert all(pick.reasons[0].kind is ReasonKind.EXPLORED for pick in picks)
        assert all(peer == friend.peer_id for pick in picks for peer in pick.reasons[0].peers)


def test_what_a_request_steers_reaches_the_model(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, object]] = []

    def ranked(self: ModelRanker, *_: object, ask: object, priors: object, **__: object) -> list[tuple[int, float]]:
        told.append((ask, priors))
        return [(3, -1.0)]

    steering = Steering(("novelty",), 5, ("short",), {"short": 0.5})
    with opened() as me:
        monkeypatch.setattr(ModelRanker, "steering", property(lambda _: steering))
        monkeypatch.setattr(ModelRanker, "rank_rows", ranked)
        assert me.steerable() == steering
        assert len(me.recommend(5, ask=Ask(novelty=0.9), priors={"short": 1.0})) == 1
        me.recommend(5)
        assert told == [(Ask(novelty=0.9), {"short": 1.0}), (None, None)]


@pytest.mark.parametrize("source", ["blend", "peers"])
def test_a_model_that_cannot_be_steered_says_so(opened: Opener, source: Any) -> None:
    with opened() as me:
        assert me.steerable().asks == ()
        with pytest.raises(NotSteerable, match="not trained for any asks"):
            me.recommend(5, source=source, ask=Ask(novelty=0.9))
        with pytest.raises(NotSteerable, match="no prior 'short'"):
            me.recommend(5, source=source, priors={"short": 1.0})
        assert me.recommend(5)
