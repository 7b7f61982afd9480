"""The blend of the two lists: what it promises for all weights and lists, and the formulas themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sdk.blend_weights import BlendWeights, Calibration, PeerShare, shipped_weights
from sdk.blending import BlendConfig, Blended, Evidence, blend, peer_share
from sdk.errors import InvalidInput

FUSED = BlendConfig(weights=None)
SHIPPED = BlendConfig()
rows = st.integers(0, 60)
# A grid: two scores are equal or clearly apart, so that rounding decides no order.
log_probs = st.integers(-200, 0).map(lambda n: n / 10)
hit_scores = st.integers(1, 1000).map(lambda n: n / 1000)
evidences = st.builds(Evidence, st.integers(0, 300), st.integers(0, 200), st.integers(0, 50_000))
slopes = st.floats(0, 5)
numbers = st.floats(-5, 5)
any_weights = st.builds(
    BlendWeights,
    st.builds(Calibration, numbers, slopes, numbers),
    st.builds(Calibration, numbers, slopes, numbers),
    st.builds(PeerShare, st.floats(0.01, 0.99), numbers, slopes, slopes, slopes, slopes),
)
configs = st.one_of(st.just(FUSED), st.just(SHIPPED), st.builds(BlendConfig, any_weights))


def ranked(scores: dict[int, float]) -> list[tuple[int, float]]:
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


model_lists = st.dictionaries(rows, log_probs, max_size=30).map(ranked)
peer_lists = st.dictionaries(rows, hit_scores, max_size=30).map(ranked)


def place_of(item: int, result: list[Blended]) -> int:
    return [b.item for b in result].index(item)


@given(model_lists, peer_lists, evidences, configs)
def test_the_result_is_the_union_in_order_of_score_then_row(model, peers, evidence, config) -> None:
    result = blend(model, peers, evidence, config)
    assert sorted(b.item for b in result) == sorted({*dict(model), *dict(peers)})
    assert [(-b.score, b.item) for b in result] == sorted((-b.score, b.item) for b in result)
    for b in result:
        assert b.model_rank == (list(dict(model)).index(b.item) + 1 if b.item in dict(model) else None)
        assert b.peer_rank == (list(dict(peers)).index(b.item) + 1 if b.item in dict(peers) else None)
        assert 0.0 <= b.model_share <= 1.0
        assert math.isfinite(b.score)


@given(model_lists, peer_lists, evidences, configs)
def test_peers_lift_nothing_that_they_do_not_list(model, peers, evidence, config) -> None:
    alone = blend(model, [], evidence, config)
    result = blend(model, peers, evidence, config)
    for b in result:
        if b.peer_rank is None:
            assert place_of(b.item, result) >= place_of(b.item, alone)


@given(model_lists, peer_lists, evidences, any_weights)
def test_whatever_peers_send_no_score_moves_by_more_than_the_stated_share(model, peers, evidence, weights) -> None:
    config = BlendConfig(weights)
    alone = {b.item: b.score for b in blend(model, [], evidence, config)}
    for b in blend(model, peers, evidence, config):
        assert abs(b.score - alone.get(b.item, 0.0)) <= weights.share.most + 1e-12
        assert (1.0 - b.model_share) * b.score <= weights.share.most + 1e-12


@given(model_lists, peer_lists, evidences, configs, st.data())
def test_a_better_score_costs_no_places(model, peers, evidence, config, data) -> None:
    for side in (0, 1):
        lists = [dict(model), dict(peers)]
        assume(lists[side])
        item = data.draw(st.sampled_from(sorted(lists[side])))
        before = blend(ranked(lists[0]), ranked(lists[1]), evidence, config)
        most = 0.0 if side == 0 else 1.0
        better = lists[side][item] + data.draw(st.floats(0, 1)) * (most - lists[side][item])
        lists[side][item] = min(most, better)
        after = blend(ranked(lists[0]), ranked(lists[1]), evidence, config)
        # Equal scores may round apart, never by more than the last digits.
        above = [b for b in after[: place_of(item, after)] if place_of(b.item, before) > place_of(item, before)]
        mine = after[place_of(item, after)].score
        assert all(b.score - mine <= 1e-9 * max(1e-300, abs(mine)) for b in above)


@given(model_lists, peer_lists, evidences, any_weights, st.integers(-50, 50))
def test_adding_a_constant_to_the_log_probabilities_changes_nothing(model, peers, evidence, weights, shift) -> None:
    config = BlendConfig(weights)
    moved = [(item, score + shift) for item, score in model]
    here, there = blend(model, peers, evidence, config), blend(moved, peers, evidence, config)
    before = {b.item: b.score for b in here}
    for b in there:
        assert b.score == pytest.approx(before[b.item], rel=1e-9, abs=1e-300)


@given(model_lists, peer_lists, any_weights, st.integers(0, 100), st.integers(0, 100), st.integers(0, 5000))
def test_the_peers_part_grows_with_their_evidence_and_falls_with_events(model, peers, weights, events, n, hits) -> None:
    share = peer_share(events, n, hits, weights.share)
    assert 0.0 <= share <= weights.share.most
    assert share <= peer_share(events, n + 3, hits, weights.share) + 1e-15
    assert share <= peer_share(events, n, hits + 50, weights.share) + 1e-15
    assert share >= peer_share(events + 2, n, hits, weights.share) - 1e-15


@given(model_lists, evidences, configs)
def test_the_model_alone_keeps_its_order(model, evidence, config) -> None:
    distinct = [pair for at, pair in enumerate(model) if at == 0 or pair[1] < model[at - 1][1]]
    steep = config.weights is None or config.weights.model.slope > 0.1
    assume(steep)
    result = blend(distinct, [], evidence, config)
    flat = [b for at, b in enumerate(result) if at and b.score == result[at - 1].score]
    assume(not flat)  # probabilities that round to the same number
    assert [b.item for b in result] == [item for item, _ in distinct]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -0.1, 1.5])
def test_hit_scores_that_cannot_be_are_not_believed(bad) -> None:
    model, peers = [(1, -1.0), (2, -2.0)], [(3, bad), (2, 0.1)]
    evidence = Evidence(5, 2, 100)
    assert blend(model, peers, evidence, SHIPPED) == blend(model, peers, evidence, FUSED)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_log_probabilities_that_are_none_are_fused_by_rank(bad) -> None:
    model, peers = [(1, -1.0), (2, bad)], [(3, 0.2), (2, 0.1)]
    evidence = Evidence(5, 2, 100)
    assert blend(model, peers, evidence, SHIPPED) == blend(model, peers, evidence, FUSED)


def test_scores_of_the_pool_are_those_of_the_documented_formula() -> None:
    weights = BlendWeights(
        Calibration(0.5, 2.0, 0.1), Calibration(1.0, 0.5, 0.2), PeerShare(0.8, -1.0, 0.3, 0.1, 0.4, 0.7)
    )
    model, peers = [(1, -1.0), (2, -3.0)], [(2, 0.25), (9, 0.125)]
    found = {b.item: b for b in blend(model, peers, Evidence(3, 4, 1000), BlendConfig(weights))}

    def sigma(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    w = 0.8 * sigma(-1.0 + 0.3 * math.log(5) + 0.1 * math.log(1001) - 0.4 * math.log(4))
    total = math.log(math.exp(-1) + math.exp(-3))
    m = {1: sigma(0.5 + 2 * (-1 - total) + 0.1 * math.log(4)), 2: sigma(0.5 + 2 * (-3 - total) + 0.1 * math.log(4))}
    p = {
        2: sigma(1 + 0.5 * math.log(0.25) + 0.2 * math.log(5)),
        9: sigma(1 + 0.5 * math.log(0.125) + 0.2 * math.log(5)),
    }
    assert found[1].score == pytest.approx((1 - w) * m[1])
    assert found[2].score == pytest.approx((1 - w) * m[2] + w * p[2])
    assert found[9].score == pytest.approx(w * p[9])
    assert found[2].model_share == pytest.approx((1 - w) * m[2] / found[2].score)
    assert (found[1].model_share, found[9].model_share) == (1.0, 0.0)
    newcomer = peer_share(0, 4, 1000, weights.share)
    assert newcomer == pytest.approx(0.8 * sigma(-1.0 + 0.3 * math.log(5) + 0.1 * math.log(1001) + 0.7))


def test_fused_ranks_are_those_of_the_documented_formula() -> None:
    config = BlendConfig(None, half_events=5, half_peers=2, walk_share=0.6, rank_offset=10)
    scores = {b.item: b.score for b in blend([(1, -1.0), (2, -2.0)], [(2, 0.1)], Evidence(5, 2, 9), config)}
    assert scores == {1: pytest.approx(0.5 / 11), 2: pytest.approx(0.5 / 12 + 0.3 / 11)}


def test_nothing_from_nothing() -> None:
    assert blend([], [], Evidence(0, 0, 0), SHIPPED) == []


def test_an_item_of_both_lists_beats_its_equals_of_one() -> None:
    model, peers = [(1, -1.0), (2, -1.1), (3, -1.2)], [(4, 0.21), (2, 0.2), (5, 0.19)]
    for config in (SHIPPED, FUSED):
        assert blend(model, peers, Evidence(50, 50, 5000), config)[0].item == 2


def test_the_shipped_weights_say_what_they_were_learned_from() -> None:
    said = shipped_weights().learned_from
    assert said["data"]
    assert all(len(digest) >= 12 for digest in said["files"].values())
    assert said["method"]
    assert said["date"]
    assert BlendWeights.from_json(shipped_weights().to_json()) == shipped_weights()


@given(any_weights)
def test_weights_survive_their_file(tmp_path_factory, weights) -> None:
    path = tmp_path_factory.mktemp("weights") / "weights.json"
    path.write_text(weights.to_json())
    assert BlendWeights.load(path) == weights


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        '{"format": 1, "model": {}, "peers": {}, "share": {}}',
        shipped_weights().to_json().replace('"slope": ', '"slope": -'),
        shipped_weights().to_json().replace('"most": ', '"most": 1'),
        shipped_weights().to_json().replace('"bias": ', '"bias": "'),
        shipped_weights().to_json().replace('"bias": ', '"bias": NaN, "was": '),
        shipped_weights().to_json().replace('"bias": ', '"evil": '),
    ],
)
def test_weights_that_are_none_are_refused(text) -> None:
    with pytest.raises(InvalidInput):
        BlendWeights.from_json(text)


def test_a_file_that_is_not_there(tmp_path) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        BlendWeights.load(tmp_path / "none.json")


def test_arrays_and_single_values_give_the_same_share() -> None:
    share = shipped_weights().share
    many = peer_share(np.array([0, 5]), np.array([3, 3]), np.array([10, 10]), share)
    assert many.tolist() == [float(peer_share(0, 3, 10, share)), float(peer_share(5, 3, 10, share))]
