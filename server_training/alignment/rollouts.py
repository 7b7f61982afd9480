"""On-policy lists: asking the policy, drawing, rewarding, and keeping the moments that teach something."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from server_training.alignment.config import SamplerConfig
from server_training.alignment.objectives import AlignmentObjective, Rollout
from server_training.alignment.policy import Policy
from server_training.alignment.prompts import Asked, Prompts, PromptSource
from server_training.alignment.rewards import Reward, Shown


@dataclass(frozen=True, slots=True)
class Drawn:
    """What one step learns from.

    Attributes:
        asked: the moments.
        rollout: the lists.
        informative: share of the moments drawn that taught something.
        reward: mean reward per item, over all moments drawn.
        hits: share of the moments drawn whose lists had what came next of themselves.
    """

    asked: Asked
    rollout: Rollout
    informative: float
    reward: float
    hits: float


class RolloutSampler:
    """Draws lists for moments until a step's worth of them teaches something.

    Args:
        source: of moments.
        config: see `SamplerConfig`.
        objective: says what teaches.
        reward: says what items are worth.
        start: the policy that alignment started from, fixed, for learned rewards; its states.
        uniform: whether the reference is uniform instead of a policy.
    """

    def __init__(
        self,
        source: PromptSource,
        config: SamplerConfig,
        objective: AlignmentObjective,
        reward: Reward,
        start: Policy | None,
        *,
        uniform: bool = False,
    ) -> None:
        self._source, self._config, self._objective, self._reward = source, config, objective, reward
        self._start, self._uniform = start, uniform

    @torch.no_grad()
    def draw(self, policy: Policy, reference: Policy, seed: int) -> Drawn | None:
        """Draw a step's lists; None when nothing drawn teaches anything.

        Args:
            policy: what draws, in evaluation mode.
            reference: what it is compared with, in evaluation mode.
            seed: of everything drawn.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        config = self._config
        wanted = config.windows * config.per_window
        kept: list[tuple[Prompts, Rollout]] = []
        drawn = useful = 0
        reward = hits = 0.0
        for _ in range(config.dynamic):
            prompts = self._source.draw(rng, config.windows, config.per_window)
            asked = self._source.ask(prompts)
            rollout, hit = self._rollout(policy, reference, asked, generator)
            taught = self._objective.informative(rollout)
            drawn, useful = drawn + len(prompts), useful + int(taught.sum())
            reward += float(rollout.rewards.sum() / rollout.real.sum().clamp(min=1)) * len(prompts)
            hits += float(hit.sum())
            kept.append((prompts.chosen(taught.numpy()), rollout.taken(taught)))
            if useful >= min(wanted, len(prompts)):
                break
        if not useful:
            return None
        prompts, rollout = _together(kept, wanted)
        return Drawn(self._source.ask(prompts), rollout, useful / drawn, reward / drawn, hits / drawn)

    def _rollout(
        self, policy: Policy, reference: Policy, asked: Asked, generator: torch.Generator
    ) -> tuple[Rollout, Tensor]:
        """Lists at every moment, and which of them had what came next of themselves."""
        config = self._config
        answers = policy(asked.inputs)
        rows = answers.sample(config.lists, config.length, config.temperature, generator)
        hit = (rows == asked.wanted[:, None, None, 0]).flatten(1).any(dim=1)
        if config.target:
            rows = with_target(rows, asked.wanted[:, 0])
        old = answers.log_probs(rows)
        known = torch.zeros_like(old) if self._uniform else reference(asked.inputs).log_probs(rows)
        states = self._start.states(asked.inputs)[0] if self._start is not None else torch.zeros(len(rows), 1)
        shown = Shown(rows, ranks(old, rows), asked.history, asked.wanted, states)
        return Rollout(rows, self._reward(shown), shown.next, old, known), hit


def with_target(rows: Tensor, wanted: Tensor) -> Tensor:
    """Put `wanted` int64 [P] in the place of the last item of lists [P, M, K] that have it not."""
    missing = ~(rows == wanted[:, None, None]).any(dim=-1)
    last = torch.where(missing, wanted[:, None], rows[..., -1])
    return torch.cat([rows[..., :-1], last[..., None]], dim=-1)


def ranks(log_probs: Tensor, rows: Tensor) -> Tensor:
    """Int64 [P, M, K]: place of each item in its list by probability, 0 for the most probable."""
    likely = log_probs.sum(dim=-1).masked_fill(rows < 0, -torch.inf)
    return torch.argsort(torch.argsort(likely, dim=-1, descending=True, stable=True), dim=-1, stable=True)


def _together(kept: list[tuple[Prompts, Rollout]], most: int) -> tuple[Prompts, Rollout]:
    """All moments kept, at most `most`, in the order of windows."""
    windows, events = (np.concatenate(column) for column in zip(*((p.windows, p.events) for p, _ in kept), strict=True))
    order = np.lexsort((events[:most], windows[:most]))
    parts = zip(*((r.rows, r.rewards, r.wanted, r.old, r.reference) for _, r in kept), strict=True)
    rollout = Rollout(*(torch.cat(part)[:most][torch.from_numpy(order)] for part in parts))
    return Prompts(windows[:most][order], events[:most][order]), rollout
