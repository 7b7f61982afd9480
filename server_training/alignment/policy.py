"""The policy: how probable each item of the catalog is, given a history, and lists sampled from it.

Decisions:
- Probabilities are over valid items only, whatever the head: exact heads take the softmax over all items that may be
  shown; the autoregressive head multiplies the probabilities of codes, each normalised over the codes that the catalog
  allows. A list never holds an invalid item, one twice, or one that is hidden.
- Log-probabilities come per code [..., L], since ratios of sequences are compared per code (L = 1 for exact heads).
- `retrieve-rank` is refused: its order is made by a second network over 200 candidates, which has no probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from server_training.alignment.beam import sampled_beam
from server_training.alignment.sampling import without_replacement
from server_training.errors import ConfigInvalid
from server_training.models.code_index import CodeIndex
from server_training.models.heads import AutoregressiveHead, Items, RetrieveRankHead
from server_training.models.heads.head import Targets
from server_training.models.items import FeatureTable
from server_training.models.objectives import full_softmax
from server_training.models.recommender import GenerativeRecommender, ModelBatch


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """Moments at which the policy is asked: positions of histories.

    Attributes:
        batch: histories [N, T].
        places: int64 [P, 2], row and column of each moment: everything up to there is known.
        hidden: int64 [P, H], catalog rows that are not shown, -1 where padded.
        prior: float32 [P, n], added to the logits of exact heads; None for none.
    """

    batch: ModelBatch
    places: Tensor
    hidden: Tensor
    prior: Tensor | None = None


class Answers(Protocol):
    """What a policy says at P moments."""

    def log_probs(self, rows: Tensor) -> Tensor:
        """Log-probability per code, float [P, M, K, L], of the items `rows` int64 [P, M, K]; 0 where they are -1."""
        ...

    def sample(self, lists: int, length: int, temperature: float, generator: torch.Generator) -> Tensor:
        """Draw int64 [P, lists, length] items in the order drawn, each once per list, -1 where none is left.

        At temperature 0 each list is the most probable items, best first: what the device shows.
        """
        ...

    def divergence(self, reference: Answers, rows: Tensor) -> Tensor:
        """KL from the policy to the reference, float [P].

        Exact for exact heads. From the items `rows` [P, M, K] otherwise, by Schulman's estimator
        r - 1 - log r with r = reference / policy, which is never negative ("Approximating KL divergence", 2020).
        """
        ...


class Policy(nn.Module):
    """A model with its items' features, as a distribution over items.

    Raises:
        ConfigInvalid: its head has no probabilities.
    """

    def __init__(self, model: GenerativeRecommender, features: FeatureTable, index: CodeIndex) -> None:
        super().__init__()
        if isinstance(model.head, RetrieveRankHead):
            raise ConfigInvalid(
                "a model with head 'retrieve-rank' cannot be aligned: its order comes from a second network over 200 "
                "candidates and has no probability; train with head 'retrieval', 'parallel' or 'autoregressive'"
            )
        self.model = model
        self.features = features
        self.index = index

    def forward(self, inputs: PolicyInputs) -> Answers:
        """Answer at every moment."""
        return self.answers(*self.states(inputs), inputs)

    def answers(self, states: Tensor, items: Items, inputs: PolicyInputs) -> Answers:
        """Answer from what `states` gave for these inputs."""
        if isinstance(self.model.head, AutoregressiveHead):
            return CodeAnswers(self.model.head, self.index, states, inputs.hidden)
        logits = self.model.head.scores(states, items)
        return ExactAnswers.of(logits if inputs.prior is None else logits + inputs.prior, inputs.hidden)

    def training_loss(self, states: Tensor, items: Items, wanted: Tensor) -> Tensor:
        """Mean of what the head minimises in training, at `states` [P, d] whose next items are `wanted` int64 [P]."""
        real = torch.ones(len(states), 1, dtype=torch.bool)
        targets = Targets(states[:, None], real, wanted[:, None, None], torch.ones(1))
        return self.model.head.loss(targets, items, full_softmax) / len(states)

    def states(self, inputs: PolicyInputs) -> tuple[Tensor, Items]:
        """The states [P, d] at the moments, and the catalog as the model sees it now."""
        items = Items(self.index, self.model.items(self.index.codes, self.features()))
        states = self.model.states_of(inputs.batch, items.vectors)
        return states[inputs.places[:, 0], inputs.places[:, 1]], items


@dataclass(frozen=True, slots=True)
class ExactAnswers:
    """A softmax over every item that may be shown.

    Attributes:
        table: float [P, n], log-probabilities, -inf for hidden items.
    """

    table: Tensor

    @classmethod
    def of(cls, logits: Tensor, hidden: Tensor) -> ExactAnswers:
        """Normalise logits [P, n] over the items that are not `hidden` [P, H]."""
        gone = marked(hidden, logits.shape[1])
        # Masked again, for a line in which everything is hidden has no softmax.
        return cls(torch.log_softmax(logits.masked_fill(gone, -torch.inf), dim=1).masked_fill(gone, -torch.inf))

    def log_probs(self, rows: Tensor) -> Tensor:
        """See `Answers`."""
        flat = self.table.gather(1, rows.clamp(min=0).flatten(1)).reshape(rows.shape)
        return torch.where(rows >= 0, flat, 0.0)[..., None]

    def sample(self, lists: int, length: int, temperature: float, generator: torch.Generator) -> Tensor:
        """See `Answers`."""
        return without_replacement(self.table, lists, length, temperature, generator)

    def divergence(self, reference: Answers, rows: Tensor) -> Tensor:  # noqa: ARG002
        """See `Answers`."""
        assert isinstance(reference, ExactAnswers)
        shown = ~torch.isinf(self.table)
        gap = torch.where(shown, self.table, 0.0) - torch.where(shown, reference.table, 0.0)
        return (self.table.exp() * gap).sum(dim=1)


@dataclass(frozen=True, slots=True)
class CodeAnswers:
    """Codes one after the other. As in the device's search, hidden items keep their share of the probability."""

    head: AutoregressiveHead
    index: CodeIndex
    states: Tensor
    hidden: Tensor

    def log_probs(self, rows: Tensor) -> Tensor:
        """See `Answers`."""
        real = rows >= 0
        states = self.states[real.nonzero()[:, 0]]
        found = -self.index.code_losses(self.head.logits, states, rows[real])
        return found.new_zeros(*rows.shape, self.index.levels).masked_scatter(real[..., None], found)

    def sample(self, lists: int, length: int, temperature: float, generator: torch.Generator) -> Tensor:
        """See `Answers`."""
        states, hidden = (part.repeat_interleave(lists, dim=0) for part in (self.states, self.hidden))
        rows = sampled_beam(self.index, self.head.logits, states, hidden, length, temperature, generator)
        return rows.reshape(len(self.states), lists, length)

    def divergence(self, reference: Answers, rows: Tensor) -> Tensor:
        """See `Answers`."""
        return estimated_divergence(self.log_probs(rows), reference.log_probs(rows), rows)


def estimated_divergence(mine: Tensor, reference: Tensor, rows: Tensor) -> Tensor:
    """KL from a policy to a reference, float [P], see `Answers.divergence`, from log-probabilities [P, M, K, L]."""
    gap = (reference - mine).sum(dim=-1)
    real = (rows >= 0).flatten(1)
    return ((gap.exp() - 1 - gap).flatten(1) * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def marked(rows: Tensor, n: int) -> Tensor:
    """Bool [P, n]: true at the `rows` int64 [P, H] of each line, -1 marking nothing."""
    mask = torch.zeros(len(rows), n + 1, dtype=torch.bool, device=rows.device)
    return mask.scatter_(1, torch.where(rows >= 0, rows, n), True)[:, :n]
