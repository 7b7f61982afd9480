"""Objectives against their definitions: values, gradients, and what the corrections correct."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from server_training.errors import ConfigInvalid
from server_training.models.objectives import (
    InfoNce,
    SampledSoftmax,
    full_softmax,
    make_objective,
    pairwise_pointwise,
)


def _drawn(seed: int, rows: int, items: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(seed)
    queries = (3 * torch.randn(rows, 5)).requires_grad_()
    keys = (3 * torch.randn(items, 5)).requires_grad_()
    return queries, keys, torch.randint(items, (rows,)), torch.rand(rows)


@given(st.integers(0, 1000), st.sampled_from([1, 7, 255, 256, 257, 600]), st.sampled_from([1, 2, 40]))
@settings(deadline=None, max_examples=30)
def test_the_full_softmax_is_cross_entropy_with_its_gradients(seed: int, rows: int, items: int) -> None:
    queries, keys, wanted, weights = _drawn(seed, rows, items)
    (0.5 * full_softmax(queries, keys, wanted, weights)).backward()
    mine = (queries.grad, keys.grad)
    queries.grad = keys.grad = None
    expected = (F.cross_entropy(queries @ keys.T, wanted, reduction="none") * weights).sum()
    torch.testing.assert_close(full_softmax(queries, keys, wanted, weights), expected, rtol=1e-4, atol=1e-3)
    (0.5 * expected).backward()
    for found, exact in zip(mine, (queries.grad, keys.grad), strict=True):
        torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-4)


def test_low_precision_stays_close() -> None:
    queries, keys, wanted, weights = _drawn(3, 300, 40)
    exact = full_softmax(queries, keys, wanted, weights)
    with torch.autocast("cpu", torch.bfloat16):
        low = full_softmax(queries, keys, wanted, weights)
    assert low.dtype == torch.float32
    assert float(low.detach()) == pytest.approx(float(exact.detach()), rel=5e-3)
    assert float(low) != float(exact)


def test_the_full_softmax_survives_logits_that_overflow() -> None:
    queries, keys, wanted, weights = _drawn(0, 4, 6)
    loss = full_softmax(queries * 1e4, keys * 1e4, wanted, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()


def test_the_sampled_softmax_agrees_with_the_full_one_in_the_long_run() -> None:
    queries, keys, wanted, weights = _drawn(1, 20, 50)
    queries, keys = queries.detach() / 3, keys.detach() / 3
    exact = float(full_softmax(queries, keys, wanted, weights))
    counts = torch.arange(50) ** 2
    few, many = (SampledSoftmax(counts, n) for n in (5, 5000))
    torch.manual_seed(0)
    assert float(many(queries, keys, wanted, weights)) == pytest.approx(exact, rel=0.03)
    rough = np.mean([float(few(queries, keys, wanted, weights)) for _ in range(200)])
    assert rough == pytest.approx(exact, rel=0.35)  # the logarithm of an average: biased low, and not by much


def test_a_negative_that_is_the_target_is_left_out() -> None:
    queries, keys, _, weights = _drawn(2, 3, 1)
    loss = SampledSoftmax(torch.ones(1), 4)(queries, keys, torch.zeros(3, dtype=torch.int64), weights)
    torch.testing.assert_close(loss, torch.tensor(0.0))


def test_in_batch_negatives_are_corrected_for_popularity() -> None:
    """Where the batch's items come in proportion to their counts, the full softmax and InfoNCE want the same."""
    torch.manual_seed(0)
    counts = torch.tensor([1.0, 10.0, 100.0])
    items = torch.tensor([0, 1, 2])
    queries, keys, weights = torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3)
    loss = InfoNce(counts)(queries, keys, items, weights)
    share = torch.log_softmax(-torch.log(counts), dim=0)
    torch.testing.assert_close(loss, -share.sum())


@given(st.integers(0, 200), st.integers(2, 9))
@settings(deadline=None)
def test_ranking_losses_fall_as_the_positive_rises(seed: int, candidates: int) -> None:
    torch.manual_seed(seed)
    logits = torch.randn(4, candidates)
    higher = logits.clone()
    higher[:, 0] += 1.0
    assert pairwise_pointwise(higher) < pairwise_pointwise(logits)
    torch.testing.assert_close(pairwise_pointwise(logits + 100), pairwise_pointwise(logits), rtol=1e-3, atol=1e-3)


def test_a_lone_candidate_has_nothing_to_lose() -> None:
    assert float(pairwise_pointwise(torch.tensor([[3.0]]))) == 0.0


@pytest.mark.parametrize("name", ["softmax", "sampled", "infonce"])
def test_objectives_by_name_learn_a_little_catalog(name: str) -> None:
    torch.manual_seed(0)
    keys = torch.nn.Parameter(torch.randn(12, 8))
    queries = torch.nn.functional.one_hot(torch.arange(12) % 8, 8).float() * 4
    wanted = torch.arange(12)[:8]
    objective = make_objective(name, torch.ones(12), 6)
    adam = torch.optim.Adam([keys], lr=0.1)
    for _ in range(150):
        adam.zero_grad()
        objective(queries[:8], keys, wanted, torch.ones(8)).backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert ((queries[:8] @ keys[:8].T).argmax(dim=1) == wanted).all()


@pytest.mark.parametrize(("name", "negatives"), [("bpr", 5), ("sampled", 0)])
def test_unknown_objectives_and_no_negatives_are_refused(name: str, negatives: int) -> None:
    with pytest.raises(ConfigInvalid):
        make_objective(name, torch.ones(3), negatives)
