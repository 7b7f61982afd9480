"""Rewards: worth worked out by hand, weights that add up, and a reward model that learns what people said."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from device_runtime import Neighbours
from server_training.alignment.rewards import (
    Calibration,
    Categories,
    Collaborative,
    Diversity,
    Feedback,
    Hit,
    LearnedReward,
    Novelty,
    RankPenalty,
    Shown,
    WeightedRewards,
    miscalibration,
)
from server_training.alignment.rewards.learned import auc, train_reward_model, validation_auc
from server_training.errors import ConfigInvalid


def shown(rows: list[list[int]], wanted: list[int], history: list[int] | None = None) -> Shown:
    """Lists at one moment, each already in the order of the policy."""
    table = torch.tensor([rows])
    places = torch.arange(table.shape[2]).expand(table.shape)
    return Shown(table, places, torch.tensor([history or [-1]]), torch.tensor([wanted]), torch.zeros(1, 4))


def test_a_hit_counts_less_the_later_it_comes() -> None:
    found = Hit(0.5)(shown([[7, 3, 9, -1]], [3, 7, 3, -1]))
    assert found.tolist() == [[[0.5, 1.0, 0.0, 0.0]]]


def test_wrong_items_cost_by_their_rank_where_the_list_has_a_hit() -> None:
    found = RankPenalty()(shown([[4, 3, 5], [4, 6, 5]], [3]))
    total = 1 + 1 / math.log2(3) + 0.5
    torch.testing.assert_close(found[0, 0], torch.tensor([-1 / total, 0.0, -0.5 / total]))
    assert not found[0, 1].any()


def test_what_goes_with_the_history_is_worth_its_neighbours_prior() -> None:
    rows, strengths = np.array([[1], [2], [0], [0]]), np.array([[3.0], [1.0], [0.0], [2.0]])
    neighbours = Neighbours.build(rows, strengths, half_life=1.0, weight=1.0)
    history = np.array([[3, 0, 1]])
    found = Collaborative(neighbours)(shown([[0, 1], [2, 3], [1, -1]], [2], history[0].tolist()))
    prior = neighbours.prior(history)[0]
    assert found[0].tolist() == [[prior[0], prior[1]], [prior[2], prior[3]], [prior[1], pytest.approx(prior[0])]]
    assert prior[2] > 0  # a neighbour of what came last
    assert prior[3] == 0  # nobody's


def test_novelty_is_one_for_an_item_seen_once_and_less_for_popular_ones() -> None:
    found = Novelty(torch.tensor([0, 1, 4, 11]))(shown([[0, 1, 2, 3]], [3]))[0, 0]
    torch.testing.assert_close(found, torch.log(torch.tensor([16, 16, 4, 16 / 11])) / math.log(16))


def test_diversity_is_one_less_the_mean_cosine_to_the_others() -> None:
    vectors = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [0.0, 0.0]])
    found = Diversity(vectors)(shown([[0, 1, 2], [3, 0, -1]], [9]))
    torch.testing.assert_close(found[0], torch.tensor([[0.5, 0.5, 1.0], [1.0, 1.0, 1.0]]))


def categories() -> Categories:
    attributes = [("war", "release_year:1990"), ("war",), ("love",), ("war", "love"), ()]
    return Categories.of(attributes, torch.zeros(5, 2, dtype=torch.int64))


def test_categories_leave_measures_out_and_fall_back_on_first_codes() -> None:
    assert categories().table.tolist() == [[0, 1], [0, 1], [1, 0], [0.5, 0.5], [0, 0]]
    codes = Categories.of([(), ("release_year:1",)], torch.tensor([[2, 0], [0, 1]]))
    assert codes.table.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_an_item_is_worth_the_calibration_that_the_list_would_lose() -> None:
    # The history is half war, half love; the list war, war, love.
    found = Calibration(categories())(shown([[0, 1, 2]], [9], [0, 2]))[0, 0]

    def kl(war: float) -> float:
        return sum(0.5 * math.log(0.5 / (0.99 * share + 0.005)) for share in (war, 1 - war))

    expected = [kl(0.5) - kl(2 / 3), kl(0.5) - kl(2 / 3), kl(1.0) - kl(2 / 3)]
    torch.testing.assert_close(found, torch.tensor(expected))
    assert found[0] < 0 < found[2]


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_miscalibration_is_finite_never_negative_and_zero_for_the_same_shares(
    one: list[float], two: list[float]
) -> None:
    history, list_ = (torch.tensor([*values, 0.5]) / (sum(values) + 0.5) for values in (one, two))
    found = miscalibration(history, list_)
    assert torch.isfinite(found)
    assert found >= -1e-5
    torch.testing.assert_close(miscalibration(history, history), torch.tensor(0.0), atol=1e-5, rtol=0)


def test_weights_add_up_and_places_beyond_a_list_are_worth_nothing() -> None:
    lists = shown([[0, 1, -1]], [1])
    both = WeightedRewards({"hit": (Hit(), 2.0), "novelty": (Novelty(torch.tensor([1, 1])), 0.5)})
    assert both(lists).tolist() == [[[0.5, 2.5, 0.0]]]


def said(n: int, width: int = 8) -> tuple[Feedback, Tensor]:
    """People whose state points at the kind of item they like."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(30, width, generator=generator)
    states = torch.randn(n, width, generator=generator)
    rows = torch.randint(30, (n,), generator=generator)
    liked = ((states * vectors[rows]).sum(dim=1) > 0).float()
    return Feedback(states, rows, liked), vectors


def test_a_reward_model_learns_what_people_like_and_is_the_same_every_time() -> None:
    feedback, vectors = said(3000)
    train = Feedback(feedback.states[:2500], feedback.rows[:2500], feedback.liked[:2500])
    test = Feedback(feedback.states[2500:], feedback.rows[2500:], feedback.liked[2500:])
    model = train_reward_model(train, vectors, seed=1)
    assert validation_auc(model, test, vectors) > 0.7
    again = train_reward_model(train, vectors, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    worth = LearnedReward(model, vectors)(
        Shown(*(torch.zeros(2, 1, 3, dtype=torch.int64),) * 2, *(torch.zeros(2, 1),) * 2, test.states[:2])
    )
    assert worth.shape == (2, 1, 3)
    assert ((worth > 0) & (worth < 1)).all()


def test_one_opinion_is_no_feedback() -> None:
    feedback, vectors = said(20)
    with pytest.raises(ConfigInvalid, match="has not both"):
        train_reward_model(Feedback(feedback.states, feedback.rows, torch.ones(20)), vectors, 0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=12))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    scores, liked = np.array([score for score, _ in pairs], float), np.array([like for _, like in pairs])
    gaps = [np.sign(a - b) / 2 + 0.5 for a in scores[liked] for b in scores[~liked]]
    found = auc(scores, liked)
    assert math.isnan(found) if not gaps else found == pytest.approx(float(np.mean(gaps)))
