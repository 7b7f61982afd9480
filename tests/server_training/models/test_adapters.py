"""Adapter heads: what each reads, whose targets each learns from, and that their scores add up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from device_runtime import Action, Catalog
from server_training.models.adapters import Encoded, category_members, pooled_events
from server_training.models.heads.head import Targets
from server_training.models.objectives import full_softmax

NAMES = ("short", "like", "taxonomy", "long", "view")


@pytest.fixture
def adapted(lab: Any, catalog: Catalog) -> Any:
    """A model with adapters over a catalog whose rows are of category 0, 1, both or none, in turn."""
    turns: list[list[int]] = [[0], [1], [0, 1], []]
    with_names = catalog.with_categories(["a", "b"], [turns[row % 4] for row in range(len(catalog))])
    made = lab(adapters=NAMES, categories=2, temperature=0.3)
    made.model.adapters.weights.zero_()
    return replace(made, items=replace(made.items, members=category_members(with_names)))


def test_interests_are_means_of_the_events_so_far() -> None:
    events = torch.tensor([[[0.0], [0.0], [4.0], [8.0], [2.0]]])
    real = torch.tensor([[False, False, True, True, True]])
    encoded = Encoded(torch.zeros(1, 5, 1), events, real)
    assert pooled_events(encoded, 5, 0.0)[0, :, 0].tolist() == pytest.approx([0, 0, 4, 6, 14 / 3])
    half = pooled_events(encoded, 5, 0.6931471805599453)[0, :, 0].tolist()
    assert half == pytest.approx([0, 0, 4, (8 + 2) / 1.5, (2 + 4 + 1) / 1.75])
    newest = pooled_events(encoded, 1, 0.0)
    assert newest.shape == (1, 1, 1)
    assert float(newest) == pytest.approx(14 / 3)


def test_each_head_learns_from_its_own_targets_alone(adapted: Any) -> None:
    wanted = torch.randint(64, (3, 6, 1))
    actions = torch.full((3, 6, 1), int(Action.SKIP))
    actions[0, 4] = int(Action.LIKE)
    grads = _gradients(adapted, wanted, actions)
    learned = {name for name, grad in zip(adapted.model.adapters.queried, grads, strict=True) if grad > 0}
    assert learned == {"short", "long", "like"}  # nobody viewed anything


def _gradients(made: Any, wanted: torch.Tensor, actions: torch.Tensor) -> list[float]:
    encoded = made.model.read(made.batch, made.items.vectors)
    targets = Targets(encoded.states, encoded.real, wanted, torch.ones(1))
    adapters = made.model.adapters
    adapters.loss(made.model.head, encoded, targets, actions, made.items, full_softmax).backward()
    return [float(adapter.up.weight.grad.abs().sum()) for adapter in adapters.maps]


def test_the_loss_is_the_sum_of_what_each_head_misses(adapted: Any) -> None:
    wanted = torch.randint(64, (3, 6, 1))
    actions = torch.full((3, 6, 1), int(Action.VIEW))
    actions[0, 5] = int(Action.LIKE)
    model, items = adapted.model, adapted.items
    with torch.no_grad():
        encoded = model.read(adapted.batch, items.vectors)
        targets = Targets(encoded.states, encoded.real, wanted, torch.ones(1))
        loss = model.adapters.loss(model.head, encoded, targets, actions, items, full_softmax)
        queries = model.adapters.queries(model.head, encoded)
        keys = model.head.keys(items.vectors)
        expected = torch.zeros(())
        for number, name in enumerate(model.adapters.queried):
            misses = -torch.log_softmax(queries[:, :, number] @ keys.T, dim=-1).gather(2, wanted)
            counts = {"like": actions == 2, "view": actions == 1}.get(name, torch.ones(3, 6, 1, dtype=torch.bool))
            expected = expected + misses[counts].sum()
        by_category = model.adapters.logits(encoded.states) @ items.members.T
        expected = expected - torch.log_softmax(by_category, dim=-1).gather(2, wanted).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-3)


def test_the_taxonomy_learns_what_the_formula_says(adapted: Any) -> None:
    """d loss / d logit_c = E[members_c] - members_c of the target, as in any exponential family."""
    model, items = adapted.model, adapted.items
    encoded = model.read(adapted.batch, items.vectors)
    wanted = torch.full((3, 6, 1), -1)
    wanted[1, 5] = 2  # of both categories
    targets = Targets(encoded.states, encoded.real, wanted, torch.ones(1))
    actions = torch.zeros_like(wanted)
    model.adapters.loss(model.head, encoded, targets, actions, items, full_softmax).backward()
    with torch.no_grad():
        logits = model.adapters.logits(encoded.states[1, 5])
        shares = torch.softmax(items.members @ logits, dim=0)
        expected = shares @ items.members - items.members[2]
    torch.testing.assert_close(model.adapters.taxonomy.bias.grad, expected, rtol=1e-4, atol=1e-5)


def test_an_item_scores_the_sum_over_its_categories(adapted: Any) -> None:
    with torch.no_grad():
        encoded = adapted.model.read(adapted.batch, adapted.items.vectors)
        scores = adapted.model.adapters.scores(adapted.model.head, encoded, adapted.items)
        a, b = adapted.model.adapters.logits(encoded.states[:, -1]).T
    assert scores.shape == (3, len(NAMES), 64)
    taxonomy = scores[:, NAMES.index("taxonomy")]
    for row, wanted in enumerate((a, b, a + b, torch.zeros(3))):
        torch.testing.assert_close(taxonomy[:, row], wanted)
