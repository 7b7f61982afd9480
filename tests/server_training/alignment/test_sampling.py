"""Lists drawn from a policy: valid, without doubles, without what is hidden, and as probable as they should be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from device_runtime import Catalog, RowFilter, beam_search
from server_training.alignment.beam import sampled_beam
from server_training.alignment.policy import CodeAnswers, ExactAnswers, marked
from server_training.alignment.rollouts import ranks, with_target
from server_training.models.code_index import CodeIndex
from server_training.models.config import ModelConfig
from server_training.models.heads import AutoregressiveHead

SIZES = ModelConfig(levels=3, codebook_size=6, width=8, heads=2, head="autoregressive")


def made_catalog(n: int, seed: int = 0) -> Catalog:
    rng = np.random.default_rng(seed)
    codes = np.stack(np.unravel_index(rng.permutation(6**3)[:n], (6,) * 3), axis=1)
    return Catalog.build([f"i{row:03}" for row in range(n)], codes, 6)


def made_head(seed: int = 0) -> AutoregressiveHead:
    torch.manual_seed(seed)
    head = AutoregressiveHead(SIZES).eval().requires_grad_(False)
    for parameter in head.parameters():
        parameter.add_(0.5 * torch.randn_like(parameter))
    return head


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class EagerCodes:
    """A session of the device that runs the head in PyTorch."""

    def __init__(self, head: AutoregressiveHead) -> None:
        self._head = head

    def run(self, method: str, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        state, prefix = (torch.from_numpy(array) for array in inputs)
        return (self._head.logits(int(method.removeprefix("decode_")), state, prefix).numpy(),)


def drawn(kind: str, n: int, hidden: Tensor, length: int, temperature: float, seed: int) -> Tensor:
    if kind == "exact":
        answers = ExactAnswers.of(torch.randn(len(hidden), n, generator=generator(seed)), hidden)
        return answers.sample(2, length, temperature, generator(seed))
    states = torch.randn(len(hidden), SIZES.width, generator=generator(seed))
    codes = CodeAnswers(made_head(), CodeIndex(made_catalog(n)), states, hidden)
    return codes.sample(2, length, temperature, generator(seed))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["exact", "codes"]),
    st.integers(1, 40),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.3, 1.0, 5.0]),
    st.integers(0, 1000),
    st.data(),
)
def test_no_list_holds_an_invalid_hidden_or_doubled_item(
    kind: str, n: int, length: int, temperature: float, seed: int, data: st.DataObject
) -> None:
    lines = data.draw(st.lists(st.lists(st.integers(-1, n - 1), min_size=7, max_size=7), min_size=1, max_size=3))
    hidden = torch.tensor(lines)
    rows = drawn(kind, n, hidden, length, temperature, seed)
    assert rows.shape == (len(lines), 2, length)
    for line, lists in zip(lines, rows.tolist(), strict=True):
        left = n - len(set(line) - {-1})
        for found in lists:
            items = [row for row in found if row >= 0]
            assert len(set(items)) == len(items)
            assert all(row < n and row not in line for row in items)
            assert found[len(items) :] == [-1] * (length - len(items))  # short lists are short at their end
            assert len(items) == min(length, left)


@pytest.mark.parametrize("seed", range(5))
def test_without_noise_it_is_the_devices_beam_search(seed: int) -> None:
    catalog, head = made_catalog(60, seed), made_head(seed)
    states = torch.randn(4, SIZES.width, generator=generator(seed))
    hidden = torch.randint(-1, 60, (4, 9), generator=generator(seed))
    found = sampled_beam(CodeIndex(catalog), head.logits, states, hidden, 8, 0.0, generator())
    for line in range(4):
        gone = np.unique(hidden[line].numpy())
        allowed = RowFilter(len(catalog), None, gone[gone >= 0])
        state = states[line : line + 1]
        encoded = (state.numpy(), head.logits(0, state, None).numpy())
        device = beam_search(EagerCodes(head), encoded, catalog, k=8, beam_width=8, allowed=allowed)
        assert found[line].tolist() == device.rows.tolist()


@pytest.mark.parametrize("kind", ["exact", "codes"])
def test_items_are_drawn_in_proportion_to_their_probability(kind: str) -> None:
    n, draws = 12, 6000
    hidden = torch.full((1, 1), -1)
    if kind == "exact":
        answers: ExactAnswers | CodeAnswers = ExactAnswers.of(torch.randn(1, n, generator=generator()), hidden)
    else:
        state = torch.randn(1, SIZES.width, generator=generator())
        answers = CodeAnswers(made_head(), CodeIndex(made_catalog(n)), state, hidden)
    shares = answers.log_probs(torch.arange(n)[None, None]).sum(dim=-1).exp().flatten()
    torch.testing.assert_close(shares.sum(), torch.tensor(1.0))
    rows = answers.sample(draws, 3, 1.0, generator())[0]
    first = torch.bincount(rows[:, 0], minlength=n) / draws
    error = (shares * (1 - shares) / draws).sqrt()
    assert ((first - shares).abs() < 4 * error + 1e-4).all()
    # The second one is drawn from what the first left: P(b second) = sum_a P(a) P(b) / (1 - P(a)).
    second = shares * (shares / (1 - shares)).sum() - shares**2 / (1 - shares)
    found = torch.bincount(rows[:, 1], minlength=n) / draws
    assert ((found - second).abs() < 4 * (second * (1 - second) / draws).sqrt() + 1e-4).all()


def test_log_probabilities_are_those_of_the_catalog_and_0_beyond_a_list() -> None:
    head, index = made_head(), CodeIndex(made_catalog(20))
    states = torch.randn(2, SIZES.width, generator=generator())
    rows = torch.tensor([[[3, 7, -1]], [[0, -1, -1]]])
    found = CodeAnswers(head, index, states, torch.full((2, 1), -1)).log_probs(rows)
    exact = index.score_catalog(head.logits, states)
    assert found.shape == (2, 1, 3, 3)
    torch.testing.assert_close(found.sum(dim=-1)[0, 0, :2], exact[0, [3, 7]])
    assert not found[rows < 0].any()


def test_divergence_is_exact_for_exact_heads_and_never_negative_for_codes() -> None:
    hidden = torch.tensor([[2], [-1]])
    ours, theirs = (ExactAnswers.of(torch.randn(2, 5, generator=generator(s)), hidden) for s in (1, 2))
    expected = torch.nn.functional.kl_div(theirs.table[1], ours.table[1], log_target=True, reduction="sum")
    rows = torch.zeros(2, 1, 1, dtype=torch.int64)
    torch.testing.assert_close(ours.divergence(theirs, rows)[1], expected)
    assert torch.isfinite(ours.divergence(theirs, rows)).all()
    index, states = CodeIndex(made_catalog(20)), torch.randn(2, SIZES.width, generator=generator())
    nothing = torch.full((2, 1), -1)
    one, other = (CodeAnswers(made_head(seed), index, states, nothing) for seed in (1, 2))
    shown = one.sample(1, 6, 1.0, generator())
    assert (one.divergence(other, shown) > 0).all()
    assert not one.divergence(one, shown).any()


def test_what_came_next_takes_the_last_place_where_it_is_missing() -> None:
    rows = torch.tensor([[[4, 5, 6]], [[4, 5, 6]], [[4, -1, -1]]])
    found = with_target(rows, torch.tensor([5, 9, 9]))
    assert found.tolist() == [[[4, 5, 6]], [[4, 5, 9]], [[4, -1, 9]]]


def test_ranks_are_by_probability() -> None:
    rows = torch.tensor([[[8, 3, -1, 5]]])
    log_probs = torch.tensor([-2.0, -1.0, 0.0, -3.0]).reshape(1, 1, 4, 1)
    assert ranks(log_probs, rows).tolist() == [[[1, 0, 3, 2]]]


def test_marking_ignores_padding() -> None:
    assert marked(torch.tensor([[0, -1, 2]]), 3).tolist() == [[True, False, True]]
