"""Every head and every backbone through ExecuTorch: the same numbers, and the same lists as exact scoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from device_runtime import Action, Ask, Catalog, HistoryEvent, ItemSearch, Reading, encode_history, open_session
from server_training.export.lower import lower_xnnpack
from server_training.export.quantize import quantized
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.models.heads import Items, RetrieveRankHead
from server_training.models.methods import methods_of, shape_of
from server_training.models.recommender import GenerativeRecommender

pytestmark = pytest.mark.slow

SIZES = {"levels": 3, "codebook_size": 8, "history_length": 6, "width": 16, "layers": 1, "heads": 2}
FEATURES = {"own_features": 3, "content_features": 2}
KINDS: list[dict[str, Any]] = [
    {"head": "autoregressive", "backbone": "sasrec"},
    {"head": "parallel", "backbone": "hstu"},
    {"head": "retrieval", "backbone": "rotary"},
    {"head": "retrieve-rank", "backbone": "rotary"},
    {"head": "retrieval", "backbone": "sasrec", "experts": 4},
    {"head": "retrieval", "backbone": "hstu", "codes": False},
    {"head": "parallel", "backbone": "sasrec", "asks": ("novelty", "diversity")},
    {"head": "retrieval", "backbone": "sasrec", "adapters": ("short", "like")},
]
STEERED = {
    "backbone": "rotary",
    "asks": ("novelty", "diversity"),
    "adapters": ("short", "taxonomy", "long", "like"),
    "categories": 2,
}
BEAM = 32


def catalog() -> Catalog:
    rng = np.random.default_rng(3)
    codes = np.stack(np.unravel_index(rng.permutation(8**3)[:60], (8,) * 3), axis=1)
    return Catalog.build([f"i{n:02}" for n in range(60)], codes, 8, None, rng.normal(size=(60, 5)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(str(value) for value in kind.values()))
def test_the_program_computes_what_the_model_computes(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = GenerativeRecommender(ModelConfig(**SIZES, **FEATURES, **kind)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    items = catalog()
    session = open_session(lower_xnnpack(quantized(model, "fp32"), BEAM))
    events = [HistoryEvent(f"i{n:02}", Action.LIKE, 1000 + 70 * n) for n in (3, 9, 9, 41)]
    for history in (events, events[:1], events * 3):
        inputs = encode_history(history, items, Reading(6), 2000)
        encode = methods_of(model, BEAM)["encode"].module
        given = (*inputs.arrays(), *(np.array([[0, 4]]) for _ in kind.get("asks", ())[:1]))
        with torch.no_grad():
            expected = encode(*(torch.from_numpy(array) for array in given))
        got = session.run("encode", *given)
        for ours, theirs in zip(got, expected if isinstance(expected, tuple) else (expected,), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4, rtol=1e-3)
        if kind["head"] in ("retrieval", "parallel"):
            _same_list(model, items, inputs, ItemSearch(session, items, shape_of(model, BEAM)))
    session.close()


def _same_list(model: GenerativeRecommender, items: Catalog, inputs: Any, search: ItemSearch) -> None:
    features = torch.from_numpy(items.features_of(np.arange(len(items))))
    index = CodeIndex(items)
    assert not isinstance(model.head, RetrieveRankHead)
    with torch.no_grad():
        state = model.states(*(torch.from_numpy(array) for array in inputs.arrays()))[:, -1]
        scores = model.head.scores(state, Items(index, model.items(index.codes, features)))[0].numpy()
    found = search(inputs, 10)
    np.testing.assert_allclose(np.sort(scores)[::-1][:10], scores[found.rows], atol=1e-3)


@pytest.mark.parametrize("scheme", ["fp32", "8da8w"])
def test_a_steered_program_answers_as_the_model_does_and_from_memory_too(scheme: Any) -> None:
    torch.manual_seed(0)
    model = GenerativeRecommender(ModelConfig(**(SIZES | {"history_length": 8}), **FEATURES, **STEERED)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    plain = catalog()
    items = plain.with_categories(["a", "b"], [[row % 2] for row in range(len(plain))])
    small = quantized(model, scheme)
    session = open_session(lower_xnnpack(small, BEAM))
    shape = shape_of(small, BEAM)
    assert set(session.methods) == {"encode", "extend", "items"}
    assert dict(session.methods) == {name: shape.longest(method) for name, method in shape.methods().items()}
    weights = {"short": 0.4, "taxonomy": 0.3, "long": -0.2, "like": 0.0}
    kept, eager = ItemSearch(session, items, shape, weights), ItemSearch(Eager(small), items, shape, weights)
    events = [HistoryEvent(f"i{n:02}", Action.LIKE, 1000 + 70 * n) for n in (3, 9, 12, 20, 31, 41)]
    ask = Ask(novelty=0.9, diversity=0.1)
    answers = set()
    for count in (4, 5, 6):  # from the second on it goes on from what it remembers
        for wish in ({}, {"ask": ask}, {"priors": {"like": 2.0, "taxonomy:b": 1.0}}):
            inputs = encode_history(events[:count], items, Reading(8), 4000)
            steered = kept.steering.steered(**wish)
            found, again = (search(inputs, 10, steered=steered) for search in (kept, eager))
            np.testing.assert_allclose(found.log_probs, again.log_probs, atol=1e-3 if scheme == "fp32" else 0.05)
            answers.add((count, tuple(found.rows.tolist())))
    assert len(answers) == 9
    session.close()


class Eager:
    """The methods as PyTorch runs them, from the whole history each time."""

    def __init__(self, model: GenerativeRecommender) -> None:
        self._methods = {name: method.module.eval() for name, method in methods_of(model, BEAM).items()}

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        assert method != "extend" or len(inputs) == 8
        with torch.no_grad():
            found = self._methods[method](*(torch.from_numpy(array) for array in inputs))
        return tuple(part.numpy() for part in found)
