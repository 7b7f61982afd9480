"""Every head: valid probabilities of valid items, a loss that is what it says, and the same answers on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_runtime import Catalog, ItemSearch, ModelInputs, RowFilter, encode_batch
from server_training.models.heads.head import Targets
from server_training.models.methods import methods_of, shape_of
from server_training.models.objectives import full_softmax

HEADS = ("autoregressive", "parallel", "retrieval", "retrieve-rank")
BEAM = 64
made_once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)


class Runner:
    """Runs the methods that would be exported, in PyTorch."""

    def __init__(self, model: Any) -> None:
        self._methods = {name: method.module.eval() for name, method in methods_of(model, BEAM).items()}

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        with torch.no_grad():
            found = self._methods[method](*(torch.from_numpy(array) for array in inputs))
        return tuple(part.numpy() for part in (found if isinstance(found, tuple) else (found,)))


def _device_inputs(made: Any, catalog: Catalog) -> ModelInputs:
    b = made.batch
    ages = b.ages.numpy()
    return encode_batch(b.rows.numpy(), b.actions.numpy(), 1_000_000_000 - ages, np.array([1_000_000_000]), catalog)


@pytest.mark.parametrize("head", HEADS)
@given(seed=st.integers(0, 1000), padded=st.integers(0, 6), filtered=st.booleans())
@made_once
def test_the_device_finds_what_exact_scoring_finds(
    lab: Any, catalog: Catalog, head: str, seed: int, padded: int, filtered: bool
) -> None:
    made = lab(seed, n=1, padded=padded, head=head)
    inputs = _device_inputs(made, catalog)
    allowed = np.random.default_rng(seed).random(64) < 0.7 if filtered else np.ones(64, bool)
    search = ItemSearch(Runner(made.model), catalog, shape_of(made.model, BEAM))
    found = search(inputs, 64, RowFilter.of(64, allowed))
    with torch.no_grad():
        states = made.model.states(*(torch.from_numpy(array) for array in inputs.arrays()))
        scores = made.model.head.scores(states[:, -1], made.items)
        if head == "retrieve-rank":
            everything = torch.arange(64)[None]
            real = made.batch.rows >= 0
            scores = made.model.head.rerank(states, real, states[:, -1], everything, made.items)
    exact = torch.log_softmax(scores[0], dim=0).numpy()
    assert sorted(found.rows) == np.flatnonzero(allowed).tolist()
    if head == "retrieve-rank" and filtered:  # the ranker moves probability among the candidates only
        order = exact[found.rows]
        assert (np.diff(order) <= 1e-4).all()
    else:
        np.testing.assert_allclose(found.log_probs, exact[found.rows], atol=2e-3)
    assert (np.diff(found.log_probs) <= 1e-6).all()


@pytest.mark.parametrize("head", HEADS)
def test_the_loss_is_the_negative_log_likelihood_of_the_targets(lab: Any, head: str) -> None:
    made = lab(head=head, temperature=0.3)
    wanted = torch.tensor([[[-1], [3], [60], [-1], [0], [9]]] * 3)
    wanted[1] = -1
    weights = torch.ones(1)
    with torch.no_grad():
        states = made.model.states_of(made.batch, made.items.vectors)
        targets = Targets(states, made.batch.rows >= 0, wanted, weights)
        known = wanted[..., 0] >= 0
        loss = made.model.head.loss(targets, made.items, full_softmax)
        scores = made.model.head.scores(states[known], made.items)
    # Of parallel codes: each code's likelihood among all codes of its level.
    likelihood = scores if head == "parallel" else torch.log_softmax(scores, dim=1)
    expected = -likelihood.gather(1, wanted[known]).sum()
    if head == "retrieve-rank":
        assert loss > expected
    else:
        torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_every_part_of_a_head_learns(lab: Any, head: str) -> None:
    made = lab(head=head)
    made.model.train()
    vectors = made.model.items(made.items.index.codes, made.features)
    items = type(made.items)(made.items.index, vectors)
    states = made.model.states_of(made.batch, vectors)
    wanted = torch.randint(64, (3, 6, 2))
    targets = Targets(states, made.batch.rows >= 0, wanted, torch.tensor([1.0, 0.5]))
    made.model.head.loss(targets, items, full_softmax).backward()
    for name, parameter in made.model.named_parameters():
        # A constant added to all keys changes nothing in a softmax.
        if name != "head.ranker.keys.bias":
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_a_session_counts_later_items_less(lab: Any) -> None:
    made = lab()
    wanted = torch.full((3, 6, 2), -1)
    wanted[0, 5] = torch.tensor([4, 7])
    targets = Targets(torch.randn(3, 6, 16), made.batch.rows >= 0, wanted, torch.tensor([1.0, 0.25]))
    states, items, weights = targets.flat()
    assert items.tolist() == [4, 7]
    assert weights.tolist() == [1.0, 0.25]
    assert torch.equal(states[0], states[1])
