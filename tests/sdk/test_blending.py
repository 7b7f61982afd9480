"""The fusion of the two lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.blending import BlendConfig, Evidence
from sdk.blending import blend as blend_pairs

lists = st.lists(st.integers(0, 60), unique=True, max_size=30)


def blend(model: list[int], peers: list[int], *, n_events: int, n_peers: int, config: BlendConfig):
    """Fuse lists of items; the scores that go with them fall with the rank."""
    pairs = [[(item, -float(rank)) for rank, item in enumerate(items)] for items in (model, peers)]
    return blend_pairs(pairs[0], pairs[1], Evidence(n_events, n_peers, 10 * n_peers), config)


@given(lists, lists, st.integers(0, 200), st.integers(0, 50))
def test_the_result_is_the_union_in_order_of_score(model, peers, n_events, n_peers) -> None:
    result = blend(model, peers, n_events=n_events, n_peers=n_peers, config=BlendConfig())
    assert sorted(b.item for b in result) == sorted({*model, *peers})
    assert [b.score for b in result] == sorted((b.score for b in result), reverse=True)
    for b in result:
        assert 0 <= b.model_share <= 1
        assert b.model_rank == (model.index(b.item) + 1 if b.item in model else None)
        assert b.peer_rank == (peers.index(b.item) + 1 if b.item in peers else None)


@given(lists)
def test_one_list_alone_keeps_its_order(model) -> None:
    config = BlendConfig()
    assert [b.item for b in blend(model, [], n_events=9, n_peers=0, config=config)] == model
    assert [b.item for b in blend([], model, n_events=0, n_peers=9, config=config)] == model


def test_evidence_moves_the_weight() -> None:
    config = BlendConfig()
    newcomer = blend([1], [2], n_events=1, n_peers=10, config=config)
    regular = blend([1], [2], n_events=100, n_peers=1, config=config)
    assert newcomer[0].item == 2
    assert regular[0].item == 1


def test_an_item_of_both_lists_beats_its_equals_of_one() -> None:
    first = blend([1, 2, 3], [4, 2, 5], n_events=50, n_peers=50, config=BlendConfig())[0]
    assert first.item == 2


def test_nothing_from_nothing() -> None:
    assert blend([], [], n_events=0, n_peers=0, config=BlendConfig()) == []


def test_scores_are_the_weighted_votes_of_the_documented_formula() -> None:
    config = BlendConfig(half_events=5, half_peers=2, walk_share=0.6, rank_offset=10)
    scores = {b.item: b.score for b in blend([1, 2], [2], n_events=5, n_peers=2, config=config)}
    assert scores == {1: pytest.approx(0.5 / 11), 2: pytest.approx(0.5 / 12 + 0.3 / 11)}


def test_ties_go_to_the_smaller_item() -> None:
    ranked = blend([7, 3], [9, 4], n_events=0, n_peers=0, config=BlendConfig())
    assert [b.item for b in ranked] == [7, 3, 4, 9]  # no trusted peer, no vote: 4 and 9 are equal
