"""What every decoding head does, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from server_training.models.code_index import CodeIndex
from server_training.models.objectives import Objective


@dataclass(frozen=True, slots=True)
class Items:
    """The catalog as tensors, at one moment of training.

    Attributes:
        index: the codes.
        vectors: float [n, d], what `ItemEncoder` makes of codes and features.
        members: float [n, C], 1 where an item is of a category, for a model that tells categories apart.
    """

    index: CodeIndex
    vectors: Tensor
    members: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """What a batch is to predict.

    Attributes:
        states: float [N, T, d], after the final norm.
        real: bool [N, T], false where padded.
        wanted: int64 [N, T, S], catalog rows of the next S items after each position, -1 where there is none.
        weights: float [S], how much each of them counts; the first is 1.
    """

    states: Tensor
    real: Tensor
    wanted: Tensor
    weights: Tensor

    def flat(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return states [M, d], items int64 [M] and weights [M], one row per target."""
        known = self.wanted >= 0
        places = known.nonzero()
        return self.states[places[:, 0], places[:, 1]], self.wanted[known], self.weights[places[:, 2]]


class Head(nn.Module, ABC):
    """Turns states into probabilities of catalog items."""

    @abstractmethod
    def loss(self, targets: Targets, items: Items, objective: Objective) -> Tensor:
        """Return the weighted SUM of losses over all targets; the caller divides by their total weight."""

    @abstractmethod
    def scores(self, states: Tensor, items: Items) -> Tensor:
        """Exact scores [N, n] of the whole catalog given the last `states` [N, d], before any re-ranking."""
