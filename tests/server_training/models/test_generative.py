"""The model looks back only, and the code index scores exactly what the device's beam search decodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from device_runtime import Catalog, ModelInputs, beam_search
from server_training.errors import ConfigInvalid
from server_training.models.code_index import CodeIndex
from server_training.models.generative import (
    DecodeMethod,
    EncodeMethod,
    GenerativeRecommender,
    ModelConfig,
    count_parameters,
)

CONFIG = ModelConfig(levels=3, codebook_size=8, history_length=6, width=16, layers=2, heads=2)


def _model(seed: int = 0, config: ModelConfig = CONFIG) -> GenerativeRecommender:
    torch.manual_seed(seed)
    model = GenerativeRecommender(config).eval()
    with torch.no_grad():  # far from the flat distribution of fresh weights
        for parameter in model.parameters():
            parameter.mul_(4.0)
    return model


def _inputs(seed: int, n: int = 2, padded: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 8, (n, 6, 3), generator=rng)
    actions = torch.randint(1, 7, (n, 6), generator=rng)
    gaps = torch.randint(1, 32, (n, 6), generator=rng)
    codes[:, :padded], actions[:, :padded], gaps[:, :padded] = 8, 0, 0
    return codes, actions, gaps


@given(seed=st.integers(0, 1000), place=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_a_later_event_never_changes_an_earlier_state(seed: int, place: int) -> None:
    model = _model()
    codes, actions, gaps = _inputs(seed)
    with torch.no_grad():
        before = model.states(codes, actions, gaps)
        codes[:, place:] = (codes[:, place:] + 1) % 8
        actions[:, place:] = 1
        after = model.states(codes, actions, gaps)
    assert torch.allclose(before[:, :place], after[:, :place], atol=1e-5)
    assert not torch.allclose(before[:, place:], after[:, place:], atol=1e-3)


def test_padding_adds_nothing_to_the_states_of_real_events() -> None:
    model = _model()
    codes, actions, gaps = _inputs(1, padded=3)
    with torch.no_grad():
        before = model.states(codes, actions, gaps)
        model.code_tables[0].weight[8] += 100.0
        after = model.states(codes, actions, gaps)
    assert torch.allclose(before[:, 3:], after[:, 3:], atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"width": 30, "heads": 4}, {"heads": 0}, {"levels": 1}, {"dropout": 1.0}, {"history_length": 0}]
)
def test_sizes_that_make_no_model_are_refused(wrong: dict[str, int | float]) -> None:
    with pytest.raises(ConfigInvalid):
        ModelConfig(**wrong)  # type: ignore[arg-type]


def test_the_model_has_no_item_table() -> None:
    per_code = count_parameters(_model(config=ModelConfig(levels=3, codebook_size=16, width=16, layers=1)))
    more = count_parameters(_model(config=ModelConfig(levels=3, codebook_size=17, width=16, layers=1)))
    assert more - per_code == 3 * 16 + 3 * 16 + 3 * 17  # inputs, prefixes (1 + 2 tables), output rows with bias


class _Runner:
    """The exported methods, run by PyTorch."""

    def __init__(self, model: GenerativeRecommender) -> None:
        self._methods = {"encode": EncodeMethod(model)}
        self._methods |= {f"decode_{level}": DecodeMethod(model, level) for level in (1, 2)}

    @torch.no_grad()
    def run(self, method: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        outputs = self._methods[method](*(torch.from_numpy(np.array(i)) for i in inputs))
        return tuple(o.numpy() for o in (outputs if isinstance(outputs, tuple) else (outputs,)))


catalogs = st.lists(st.integers(0, 8**3 - 1), min_size=1, max_size=60, unique=True).map(
    lambda packed: Catalog.build([f"i{p}" for p in packed], [[p // 64, p // 8 % 8, p % 8] for p in packed], 8)
)


@given(catalog=catalogs, seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_exact_scores_are_a_distribution_over_the_catalog_and_the_loss_is_their_negative(catalog, seed: int) -> None:
    model, index = _model(seed), CodeIndex(catalog)
    with torch.no_grad():
        states = model.states(*_inputs(seed))[:, -1]
        scores = index.score_catalog(model, states)
        items = torch.randint(0, len(catalog), (2,), generator=torch.Generator().manual_seed(seed))
        loss = index.loss(model, states, items)
    assert scores.exp().sum(dim=1).numpy() == pytest.approx(1.0, abs=1e-4)
    assert loss.item() == pytest.approx(-scores[torch.arange(2), items].mean().item(), abs=1e-4)


@given(catalog=catalogs, seed=st.integers(0, 1000), padded=st.integers(0, 6))
@settings(deadline=None, max_examples=25)
def test_beam_search_as_wide_as_the_catalog_finds_what_exact_scoring_finds(catalog, seed: int, padded: int) -> None:
    model = _model(seed)
    codes, actions, gaps = _inputs(seed, n=1, padded=padded)
    with torch.no_grad():
        exact = CodeIndex(catalog).score_catalog(model, model.states(codes, actions, gaps)[:, -1])[0].numpy()
    inputs = ModelInputs(codes.numpy(), actions.numpy(), gaps.numpy())
    found = beam_search(_Runner(model), inputs, catalog, k=64, beam_width=64)
    assert sorted(found.rows) == list(range(len(catalog)))
    assert found.log_probs == pytest.approx(exact[found.rows], abs=1e-4)
    assert (np.diff(found.log_probs) <= 1e-6).all()
