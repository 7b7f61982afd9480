"""Asks: nothing asked changes nothing, every level has a say, and its gradients are those worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from server_training.errors import ConfigInvalid
from server_training.models.asks import Asks
from server_training.models.config import ModelConfig

NAMES = ("engagement", "advantage", "novelty", "diversity")


def made(**changes: Any) -> Asks:
    torch.manual_seed(0)
    asks = Asks(ModelConfig(width=16, asks=NAMES, ask_levels=3, **changes))
    for table in (asks.gates, asks.shifts):
        torch.nn.init.normal_(table.weight)
    return asks


def test_what_asks_nothing_gets_the_state_as_it_is() -> None:
    states = torch.randn(5, 16)
    assert torch.equal(made()(states, torch.zeros(5, 4, dtype=torch.int64)), states)


def test_an_untrained_model_does_not_listen() -> None:
    states = torch.randn(5, 16)
    fresh = Asks(ModelConfig(width=16, asks=NAMES))
    assert torch.equal(fresh(states, torch.randint(6, (5, 4))), states)


def test_each_level_of_each_ask_is_its_own_and_levels_beyond_are_the_last() -> None:
    asks, state = made(), torch.randn(1, 16)
    found = [asks(state, torch.eye(4, dtype=torch.int64)[[a]] * level) for a in range(4) for level in (1, 2, 3)]
    assert len({tuple(x.flatten().tolist()) for x in found}) == 12
    beyond = asks(state, torch.tensor([[0, 0, 99, 0]]))
    assert torch.equal(beyond, asks(state, torch.tensor([[0, 0, 3, 0]])))


def test_two_asks_add_up() -> None:
    asks, state = made(), torch.randn(1, 16)
    both, one, other = (asks(state, torch.tensor([a])) - state for a in ([2, 0, 1, 0], [2, 0, 0, 0], [0, 0, 1, 0]))
    torch.testing.assert_close(both, one + other)


def test_gradients_are_those_of_the_formula() -> None:
    asks = made()
    state, wish = torch.randn(16, requires_grad=True), torch.tensor([0, 2, 0, 0])
    out = torch.randn(16)  # dL/ds' of any loss L
    (asks(state, wish) @ out).backward()
    up, down, gate = asks.up.weight, asks.down.weight, asks.gates.weight[1 * 3 + 1]
    back = down.T @ out
    torch.testing.assert_close(state.grad, out + up.T @ (gate * back))
    torch.testing.assert_close(down.grad, torch.outer(out, gate * (up @ state)))
    torch.testing.assert_close(up.grad, torch.outer(gate * back, state.detach()))
    expected = torch.zeros(12, 8)
    expected[4] = back * (up @ state)
    torch.testing.assert_close(asks.gates.weight.grad, expected)
    shift = torch.zeros(12, 16)
    shift[4] = out
    torch.testing.assert_close(asks.shifts.weight.grad, shift)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"asks": ("joy",)}, "asks"),
        ({"asks": ("novelty", "novelty")}, "different"),
        ({"asks": ("novelty",), "ask_levels": 1}, "ask_levels"),
        ({"asks": ("novelty",), "head": "retrieve-rank"}, "retrieval"),
        ({"adapters": ("hate",)}, "adapters"),
        ({"adapters": ("long",), "head": "parallel"}, "parallel"),
        ({"adapters": ("long",), "head": "autoregressive"}, "autoregressive"),
        ({"adapters": ("taxonomy",), "categories": 0}, "categories"),
    ],
)
def test_what_no_model_has_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid, match=said):
        ModelConfig(**changes)


def test_settings_that_came_later_do_not_rename_older_models() -> None:
    assert not {"asks", "ask_levels", "adapters", "categories"} & ModelConfig().to_dict().keys()
    assert ModelConfig(asks=("novelty",)).to_dict()["asks"] == ("novelty",)
