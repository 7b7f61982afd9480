"""The feed-forward part of a block: one dense network, or a sparse mixture of experts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVE = 2


class FeedForward(nn.Module):
    """Width d -> 4d -> d with GELU."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., d] to [..., d]."""
        result: Tensor = self.down(self.dropout(F.gelu(self.up(x))))
        return result


class MixtureOfExperts(nn.Module):
    """Each position uses the two experts its gate ranks highest (Shazeer et al., ICLR 2017; OneRec uses the same).

    All experts are computed and the others weighted by zero: shapes stay static for export and training stays exact.
    The experts are narrow (2d), so that two of them cost what a dense network costs; the sparsity is in what a
    position's answer depends on, not in arithmetic saved on a CPU.
    """

    def __init__(self, width: int, experts: int, dropout: float) -> None:
        super().__init__()
        self.experts = experts
        self.gate = nn.Linear(width, experts, bias=False)
        self.up = nn.Linear(width, experts * 2 * width)
        self.down = nn.Linear(experts * 2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.balance: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., d] to [..., d]; while training, leave the balance loss in `balance`."""
        shares = torch.softmax(self.gate(x), dim=-1)  # [..., E]
        best, chosen = torch.topk(shares, ACTIVE, dim=-1)
        weights = torch.zeros_like(shares).scatter(-1, chosen, best / best.sum(dim=-1, keepdim=True))
        if self.training:
            self.balance = _balance(shares.flatten(0, -2), weights.flatten(0, -2))
        hidden = self.dropout(F.gelu(self.up(x))).unflatten(-1, (self.experts, -1))
        result: Tensor = self.down((hidden * weights[..., None]).flatten(-2))
        return result


def _balance(shares: Tensor, weights: Tensor) -> Tensor:
    """The load-balancing loss of Switch Transformers (Fedus et al., JMLR 2022): 1 when all experts are used alike."""
    used = (weights > 0).to(shares.dtype).mean(dim=0) / ACTIVE
    return shares.shape[1] * torch.sum(used * shares.mean(dim=0))


def make_feed_forward(width: int, experts: int, dropout: float) -> FeedForward | MixtureOfExperts:
    """Return the dense network, or the mixture when `experts` is at least 2."""
    return MixtureOfExperts(width, experts, dropout) if experts else FeedForward(width, dropout)


def balance_loss(model: nn.Module) -> Tensor | None:
    """Mean balance loss of the mixtures in `model` after a training step's forward; None without mixtures."""
    found = [m.balance for m in model.modules() if isinstance(m, MixtureOfExperts) and m.balance is not None]
    return torch.stack(found).mean() if found else None
