"""Steered requests: the device's search against exact scores, and a memory that serves every ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from device_runtime import Action, Ask, Catalog, HistoryEvent, ItemSearch, Reading, encode_history
from server_training.models.adapters import category_members
from server_training.models.methods import methods_of, shape_of
from server_training.models.recommender import ModelBatch

BEAM = 64
ADAPTERS = ("short", "taxonomy", "long", "like")
WEIGHTS = {"short": 0.4, "taxonomy": 0.5, "long": -0.3, "like": 0.2}
EVENTS = [HistoryEvent(f"i{n}", Action.LIKE, 1000 + 70 * n) for n in (3, 9, 12, 20, 31, 41, 50)]


class Runner:
    """Runs the methods that would be exported, in PyTorch, and counts them."""

    def __init__(self, model: Any) -> None:
        self._methods = {name: method.module.eval() for name, method in methods_of(model, BEAM).items()}
        self.calls: list[str] = []

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        self.calls.append(method)
        with torch.no_grad():
            found = self._methods[method](*(torch.from_numpy(array) for array in inputs))
        return tuple(part.numpy() for part in found)


@pytest.fixture
def named(catalog: Catalog) -> Catalog:
    return catalog.with_categories(["a", "b"], [[[0], [1], [0, 1], []][row % 4] for row in range(len(catalog))])


@pytest.mark.parametrize("backbone", ["sasrec", "rotary"])
@pytest.mark.parametrize("ask", [None, Ask(novelty=1.0), Ask(novelty=0.1, diversity=0.6)])
def test_the_search_adds_up_what_the_heads_say(lab: Any, named: Catalog, backbone: str, ask: Ask | None) -> None:
    made = lab(backbone=backbone, adapters=ADAPTERS, categories=2, asks=("diversity", "novelty"), temperature=0.5, n=1)
    search = ItemSearch(Runner(made.model), named, shape_of(made.model, BEAM), WEIGHTS)
    inputs = encode_history(EVENTS[:6], named, Reading(6), 9000)
    found = search(inputs, 64, steered=search.steering.steered(ask))
    rows = torch.from_numpy(named.rows_of(inputs.codes[0])[None])
    batch = ModelBatch(rows, *(torch.from_numpy(part) for part in (inputs.actions, inputs.gaps, inputs.ages)))
    items = type(made.items)(made.items.index, made.items.vectors, category_members(named))
    with torch.no_grad():
        encoded = made.model.read(batch, items.vectors)
        wish = torch.from_numpy(search.steering.steered(ask).asks)
        scores = made.model.head.scores(made.model.asked(encoded.states[:, -1], wish), items)[0]
        heads = made.model.adapters.scores(made.model.head, encoded, items)[0]
        exact = torch.log_softmax(scores + torch.tensor(list(WEIGHTS.values())) @ heads, dim=0).numpy()
    np.testing.assert_allclose(found.log_probs, exact[found.rows], atol=1e-4)


def test_what_is_remembered_serves_every_ask(lab: Any, named: Catalog) -> None:
    made = lab(backbone="rotary", adapters=ADAPTERS, categories=2, asks=("novelty",), history_length=8)
    shape, runner = shape_of(made.model, BEAM), Runner(made.model)
    assert shape.memory_rows == 5  # keys and values of two layers, and the events themselves
    growing = ItemSearch(runner, named, shape, WEIGHTS)
    for count, value in ((5, None), (6, 0.9), (6, 0.1), (7, None)):
        ask = Ask(novelty=value)
        inputs = encode_history(EVENTS[:count], named, Reading(8), 9000 + count)
        afresh = ItemSearch(Runner(made.model), named, shape, WEIGHTS)
        ours, theirs = (search(inputs, 64, steered=search.steering.steered(ask)) for search in (growing, afresh))
        np.testing.assert_allclose(ours.log_probs, theirs.log_probs, atol=1e-4)
    assert [call for call in runner.calls if call != "items"] == ["encode", "extend", "extend", "extend"]
