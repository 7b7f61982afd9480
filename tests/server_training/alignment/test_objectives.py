"""Objectives: gradients against cases worked out by hand, advantages that cancel, and what teaches nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from server_training.alignment.advantages import group_advantages
from server_training.alignment.objectives import (
    AlignmentObjective,
    Dpo,
    Grpo,
    Listwise,
    RankGrpo,
    Rollout,
    SelfHardDpo,
    SoftmaxDpo,
)
from server_training.alignment.objectives.objective import in_order
from server_training.alignment.objectives.rank_grpo import returns

OBJECTIVES: list[AlignmentObjective] = [
    Dpo(1.0),
    SelfHardDpo(1.0),
    SoftmaxDpo(1.0),
    Listwise(0.1),
    Grpo(0.2, 0.2),
    RankGrpo(0.2, 0.2),
]


def rollout(
    rewards: Tensor, wanted: Tensor, old: Tensor | None = None, reference: Tensor | None = None, codes: int = 1
) -> Rollout:
    """One with made log-probabilities where none are given; a reward of NaN marks a place beyond a list's end."""
    rows = torch.arange(rewards.shape[-1]).expand(rewards.shape).masked_fill(rewards.isnan(), -1)
    old = torch.full((*rewards.shape, codes), -2.0) if old is None else old
    return Rollout(rows, rewards.nan_to_num(), wanted & (rows >= 0), old, old if reference is None else reference)


def slopes(objective: AlignmentObjective, now: Tensor, shown: Rollout) -> Tensor:
    leaf = now.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(leaf, shown).sum(), leaf)
    return gradient


def first_wanted(shape: tuple[int, ...]) -> Tensor:
    wanted = torch.zeros(shape, dtype=torch.bool)
    wanted[..., 0] = True
    return wanted


def test_dpo_pushes_by_how_wrong_the_pair_is() -> None:
    # g = 0.5 * (log pi - log ref): chosen 0.5 * 0.4, rejected 0.5 * -0.2; the slope is beta * sigmoid(-(0.2 - -0.1)).
    reference = torch.tensor([-1.0, -3.0]).reshape(1, 1, 2, 1)
    now = reference + torch.tensor([0.4, -0.2]).reshape(1, 1, 2, 1)
    shown = rollout(torch.tensor([[[1.0, 0.0]]]), first_wanted((1, 1, 2)), reference=reference)
    push = 0.5 / (1 + math.exp(0.3))
    assert Dpo(0.5)(now, shown).item() == pytest.approx(math.log(1 + math.exp(-0.3)))
    torch.testing.assert_close(slopes(Dpo(0.5), now, shown).flatten(), torch.tensor([-push, push]))


def test_softmax_dpo_shares_its_push_among_the_wrong_items() -> None:
    # g relative to the chosen one: 0.3 and -0.5; the loss is log(1 + e^0.3 + e^-0.5).
    now = torch.tensor([0.1, 0.4, -0.4]).reshape(1, 1, 3, 1)
    shown = rollout(torch.zeros(1, 1, 3), first_wanted((1, 1, 3)), reference=torch.zeros(1, 1, 3, 1))
    mass = 1 + math.exp(0.3) + math.exp(-0.5)
    expected = torch.tensor([1 / mass - 1, math.exp(0.3) / mass, math.exp(-0.5) / mass])
    assert SoftmaxDpo(1.0)(now, shown).item() == pytest.approx(math.log(mass))
    torch.testing.assert_close(slopes(SoftmaxDpo(1.0), now, shown).flatten(), expected)


def test_with_one_wrong_item_both_are_the_same() -> None:
    now = torch.randn(5, 1, 2, 3, generator=torch.Generator().manual_seed(0))
    shown = rollout(torch.zeros(5, 1, 2), first_wanted((5, 1, 2)), codes=3)
    torch.testing.assert_close(Dpo(0.7)(now, shown), SoftmaxDpo(0.7)(now, shown))


def test_listwise_moves_by_what_a_lists_shares_lack() -> None:
    # Shares by reward 3/4 and 1/4, by the policy's ratios to the reference 2/3 and 1/3: the slope is their difference.
    reference = torch.tensor([-1.0, -3.0]).reshape(1, 1, 2, 1)
    now = reference + torch.tensor([math.log(2.0), 0.0]).reshape(1, 1, 2, 1)
    shown = rollout(torch.tensor([[[math.log(3.0), 0.0]]]), first_wanted((1, 1, 2)), reference=reference)
    kl = 0.75 * math.log(0.75 / (2 / 3)) + 0.25 * math.log(0.25 / (1 / 3))
    assert Listwise(1.0)(now, shown).item() == pytest.approx(kl, abs=1e-6)
    torch.testing.assert_close(slopes(Listwise(1.0), now, shown).flatten(), torch.tensor([-1 / 12, 1 / 12]))


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=6), st.floats(0.2, 4), st.floats(-2, 2))
def test_listwise_rests_at_the_reference_tilted_by_the_reward(rewards: list[float], beta: float, shift: float) -> None:
    worth = torch.tensor([[rewards]])
    reference = torch.linspace(-3, -1, len(rewards)).reshape(1, 1, -1, 1)
    shown = rollout(worth, first_wanted(tuple(worth.shape)), reference=reference)
    tilted = reference + (worth[..., None] + shift) / beta
    assert Listwise(beta)(tilted, shown).item() == pytest.approx(0, abs=1e-5)
    assert slopes(Listwise(beta), tilted, shown).abs().max() < 1e-5


def test_listwise_with_a_large_reward_for_what_came_next_is_softmax_dpo() -> None:
    now = torch.randn(4, 1, 5, 2, generator=torch.Generator().manual_seed(2))
    wanted = first_wanted((4, 1, 5))
    shown = rollout(100.0 * wanted, wanted, codes=2)
    torch.testing.assert_close(Listwise(0.7)(now, shown), SoftmaxDpo(0.7)(now, shown))


def test_self_hard_dpo_takes_the_best_and_of_equally_bad_items_the_first() -> None:
    shown = rollout(torch.tensor([[[0.5, 0.0, 1.0, 0.0]]]), first_wanted((1, 1, 4)))
    found = slopes(SelfHardDpo(1.0), shown.old, shown).flatten()
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, -0.5, 0.0]))


def test_grpo_moves_by_the_advantage_and_not_beyond_its_clip() -> None:
    # Rewards 1, 0, 0: mean 1/3, deviation sqrt(2)/3, advantages sqrt 2, -1/sqrt 2, -1/sqrt 2.
    shown = rollout(torch.tensor([[[1.0, 0.0, 0.0]]]), first_wanted((1, 1, 3)))
    up, down = math.sqrt(2), -math.sqrt(0.5)
    torch.testing.assert_close(slopes(Grpo(0.2, 0.2), shown.old, shown).flatten(), -torch.tensor([up, down, down]) / 3)
    # Good ones already 1.5 times as likely and bad ones half as likely have arrived; a bad one grown likelier has not.
    moved = shown.old + torch.tensor([1.5, 0.5, 1.5]).log().reshape(1, 1, 3, 1)
    torch.testing.assert_close(
        slopes(Grpo(0.2, 0.2), moved, shown).flatten(), -torch.tensor([0.0, 0.0, 1.5 * down]) / 3
    )


def test_grpo_compares_codes_one_at_a_time() -> None:
    shown = rollout(torch.tensor([[[1.0, 0.0]]]), first_wanted((1, 1, 2)), codes=2)
    moved = shown.old.clone()
    moved[0, 0, 0] += torch.tensor([math.log(1.1), math.log(2.0)])  # the second code is beyond the clip, the first not
    found = slopes(Grpo(0.2, 0.2), moved, shown)
    torch.testing.assert_close(found[0, 0, 0], torch.tensor([-1.1 / 4, 0.0]))


def test_rank_grpo_credits_a_rank_with_what_it_could_still_change() -> None:
    relevance = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]])
    second = 1 / math.log2(3)
    torch.testing.assert_close(returns(relevance), torch.tensor([[[second, second, 0.0], [0.0, 0.0, 0.0]]]))
    shown = rollout(relevance, relevance > 0)
    found = RankGrpo.advantages(shown, normalised=True)
    torch.testing.assert_close(found, torch.tensor([[[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]]]))


def test_rank_grpo_takes_the_geometric_mean_of_an_items_codes() -> None:
    shown = rollout(torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[True], [False]]]), codes=2)
    # One code twice as likely, the other half: their mean has not moved, so the slope is -A / (2 lists, 2 codes).
    moved = shown.old + torch.tensor([2.0, 0.5]).log()
    torch.testing.assert_close(
        slopes(RankGrpo(0.2, 0.2), moved, shown), torch.tensor([-0.25, 0.25])[None, :, None, None].expand(1, 2, 1, 2)
    )


def test_items_before_it_leave_an_item_more_probability() -> None:
    log_probs = torch.tensor([0.5, 0.3, 0.2]).log().reshape(1, 1, 3, 1)
    found = in_order(log_probs, torch.ones(1, 1, 3, dtype=torch.bool)).exp().flatten()
    torch.testing.assert_close(found, torch.tensor([0.5, 0.3 / 0.5, 0.2 / 0.2]))


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=9), st.booleans())
def test_advantages_sum_to_zero_over_their_group(values: list[float], normalised: bool) -> None:
    rewards = torch.tensor([values, values[::-1]])
    real = torch.ones_like(rewards, dtype=torch.bool)
    real[0, -1] = False
    found = group_advantages(rewards, real, 1, normalised=normalised)
    assert found[0, -1] == 0
    torch.testing.assert_close(found.sum(dim=1), torch.zeros(2), atol=1e-3, rtol=0)


def test_equal_rewards_have_no_advantage() -> None:
    rewards = torch.full((3, 4), 0.1)
    assert not group_advantages(rewards, torch.ones(3, 4, dtype=torch.bool), 1).any()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_what_teaches_nothing_is_known_beforehand(objective: AlignmentObjective) -> None:
    flat, told = torch.zeros(1, 2, 3), torch.tensor([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    shown = rollout(torch.cat([flat, told]), torch.cat([flat, told]) > 0)
    assert objective.informative(shown).tolist() == [False, True]
    found = slopes(objective, shown.old + 0.01, shown)
    assert found[0].abs().max() < 1e-7
    assert found[1].abs().max() > 1e-3


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_places_beyond_a_lists_end_change_nothing(objective: AlignmentObjective) -> None:
    rewards = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    shown = rollout(rewards, rewards > 0)
    longer = rollout(
        torch.nn.functional.pad(rewards, (0, 2), value=math.nan), torch.nn.functional.pad(rewards > 0, (0, 2))
    )
    torch.testing.assert_close(objective(shown.old + 0.1, shown), objective(longer.old + 0.1, longer))
    assert not slopes(objective, longer.old + 0.1, longer)[:, :, 2:].any()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_a_bandit_learns_what_is_rewarded(objective: AlignmentObjective) -> None:
    """Five arms, the third is the right one, drawn on policy; the softmax over arms must end with its mass on it."""
    lists = 4 if isinstance(objective, RankGrpo) else 1
    generator = torch.Generator().manual_seed(1)
    logits = torch.tensor([1.0, 0.5, -1.0, 0.0, 0.0], requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.1)
    reference = torch.log_softmax(logits.detach(), dim=0)
    for _ in range(150):
        table = torch.log_softmax(logits, dim=0)
        noise = -torch.log(-torch.log(torch.rand(8, lists, 5, generator=generator)))
        rows = (table.detach() + noise).argsort(dim=-1, descending=True)
        wanted = rows == 2
        shown = Rollout(rows, wanted.float(), wanted, table.detach()[rows][..., None], reference[rows][..., None])
        adam.zero_grad()
        objective(table[rows][..., None], shown).mean().backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert torch.softmax(logits, dim=0)[2] > 0.9
