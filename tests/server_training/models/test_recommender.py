"""Every backbone: causal, blind to padding, the same by rows and by codes, trimmed or not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from server_training.errors import ConfigInvalid
from server_training.models.backbones.feed_forward import balance_loss, make_feed_forward
from server_training.models.backbones.history import History, RelativePosition
from server_training.models.config import Backbone, ModelConfig
from server_training.models.recommender import ModelBatch, count_parameters

EVERY = [{"backbone": name, "experts": experts} for name, experts in product(get_args(Backbone), (0, 4))]


def states(lab: Any, batch: ModelBatch) -> Tensor:
    with torch.no_grad():
        found: Tensor = lab.model.states_of(batch, lab.items.vectors)
    return found


@pytest.mark.parametrize("kind", EVERY)
def test_the_future_does_not_change_the_past(lab: Any, kind: dict[str, Any]) -> None:
    made = lab(**kind)
    rows = made.batch.rows.clone()
    rows[:, 4:] = (rows[:, 4:] + 7) % 64
    before, after = states(made, made.batch), states(made, replace(made.batch, rows=rows))
    torch.testing.assert_close(after[:, :4], before[:, :4])
    assert not torch.allclose(after[:, 4:], before[:, 4:])


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_padded_is_not_seen_and_may_be_cut_off(lab: Any, kind: dict[str, Any]) -> None:
    made = lab(padded=3, **kind)
    b = made.batch
    cut = ModelBatch(b.rows[:, 2:], b.actions[:, 2:], b.gaps[:, 2:], b.ages[:, 2:])
    torch.testing.assert_close(states(made, cut)[:, 1:], states(made, b)[:, 3:], rtol=1e-4, atol=1e-5)
    noisy = replace(b, gaps=torch.where(b.rows < 0, 9, b.gaps), ages=torch.where(b.rows < 0, 99, b.ages))
    torch.testing.assert_close(states(made, noisy)[:, 3:], states(made, b)[:, 3:])


@pytest.mark.parametrize("kind", EVERY)
def test_codes_and_rows_say_the_same(lab: Any, kind: dict[str, Any]) -> None:
    made = lab(padded=2, **kind)
    b, real = made.batch, (made.batch.rows >= 0)[..., None]
    codes = torch.where(real, made.items.index.codes[b.rows], 8)
    features = torch.where(real, made.features[b.rows], 0.0)
    with torch.no_grad():
        by_codes = made.model.states(codes, features, b.actions, b.gaps, b.ages)
    torch.testing.assert_close(by_codes[:, 2:], states(made, b)[:, 2:])


@pytest.mark.parametrize("name", ["hstu", "rotary"])
def test_time_matters_by_its_differences(lab: Any, name: str) -> None:
    made = lab(backbone=name)
    b = made.batch
    stretched = states(made, replace(b, ages=b.ages * 40))
    assert not torch.allclose(stretched, states(made, b), atol=1e-3)


def test_rotary_sees_only_distances(lab: Any) -> None:
    made = lab(backbone="rotary")
    b = made.batch
    later = replace(b, ages=b.ages + 3600)
    torch.testing.assert_close(states(made, later), states(made, b), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", get_args(Backbone))
def test_the_order_and_the_action_matter(lab: Any, name: str) -> None:
    made = lab(backbone=name)
    b = made.batch
    turned = replace(b, rows=torch.cat([b.rows[:, :4].flip(1), b.rows[:, 4:]], dim=1))
    assert not torch.allclose(states(made, turned)[:, -1], states(made, b)[:, -1], atol=1e-4)
    other = replace(b, actions=b.actions % 6 + 1)
    assert not torch.allclose(states(made, other), states(made, b), atol=1e-4)


def test_two_experts_answer_and_the_balance_is_one_when_all_are_used_alike() -> None:
    torch.manual_seed(0)
    network = make_feed_forward(8, 4, 0.0)
    x = torch.randn(50, 8)
    network.train()
    network(x)
    loss = balance_loss(network)
    assert loss is not None
    assert float(loss) >= 0.99
    torch.nn.init.zeros_(network.gate.weight)  # type: ignore[union-attr]
    network(x)
    even = balance_loss(network)
    assert even is not None
    torch.testing.assert_close(even, torch.tensor(1.0))
    # An expert nobody chose can change without changing the answer.
    network.eval()
    torch.nn.init.normal_(network.gate.weight)  # type: ignore[union-attr]
    one = x[:1]
    before = network(one)
    chosen = network.gate(one).topk(2).indices[0].tolist()  # type: ignore[union-attr, operator]
    idle = next(expert for expert in range(4) if expert not in chosen)
    with torch.no_grad():
        network.up.weight[idle * 16 : (idle + 1) * 16] += 1.0
    torch.testing.assert_close(network(one), before)


def test_a_catalog_costs_parameters_by_its_codes_only(lab: Any) -> None:
    small, large = (count_parameters(lab(codebook_size=size).model) for size in (16, 17))
    assert large - small == 3 * 16  # a row in each code table: nothing depends on the number of items


@pytest.mark.parametrize(
    "wrong",
    [
        {"levels": 1},
        {"codebook_size": 1},
        {"width": 30, "heads": 4},
        {"layers": 0},
        {"dropout": 1.0},
        {"own_features": 0},
        {"content_features": -1},
        {"experts": 1},
        {"temperature": -0.1},
        {"backbone": "gru"},
        {"head": "softmax"},
    ],
)
def test_sizes_that_make_no_model_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigInvalid):
        ModelConfig(**wrong)


def test_a_position_bias_depends_on_the_distance_only() -> None:
    position = RelativePosition(heads=3, length=9)
    with torch.no_grad():
        position.bias.copy_(torch.randn(3, 9))
    for length in (1, 2, 5, 9):
        ages = torch.arange(4 * length).reshape(4, length)
        found = position(History(torch.ones_like(ages, dtype=torch.bool), ages, ages), None)
        assert found.shape == (1, 3, length, length)
        for query in range(length):
            for key in range(query + 1):
                assert torch.equal(found[0, :, query, key], position.bias[:, query - key])
