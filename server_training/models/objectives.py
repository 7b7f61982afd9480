"""Objectives: what makes a query point at the item that came next, and away from the others.

Each returns the weighted SUM over targets, so that batches of different sizes and several processes add up to the same
mean. Softmax objectives see logits `queries @ keys.T`, temperature included by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from server_training.errors import ConfigInvalid

ObjectiveName = Literal["softmax", "sampled", "infonce"]

_ROWS = 256  # logits of so many targets at a time stay in the processor's cache


class Objective(Protocol):
    """Loss of retrieval: queries against keys."""

    def __call__(self, queries: Tensor, keys: Tensor, items: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of losses.

        Args:
            queries: [M, d].
            keys: [n, d], of the whole catalog.
            items: int64 [M], the row of `keys` each query should find.
            weights: [M].
        """
        ...


class _FullSoftmax(torch.autograd.Function):
    """Cross-entropy over the whole catalog without ever holding all logits: gradients are made on the way forward.

    With `low`, matrix products take bfloat16 numbers; sums and exponentials never do.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, items: Tensor, weights: Tensor, low: bool) -> Tensor:
        total = torch.zeros((), dtype=torch.float64, device=queries.device)
        d_queries, d_keys = torch.empty_like(queries), torch.zeros_like(keys)
        number = torch.bfloat16 if low else torch.float32
        small_queries, small_keys = queries.to(number), keys.to(number)
        for start in range(0, len(queries), _ROWS):
            part = slice(start, start + _ROWS)
            query, item, weight = small_queries[part], items[part, None], weights[part, None]
            logits = (query @ small_keys.T).float()
            wanted = logits.gather(1, item)
            top = logits.amax(dim=1, keepdim=True)
            shares = logits.sub_(top).exp_()
            mass = shares.sum(dim=1, keepdim=True)
            total += ((mass.log() + top - wanted) * weight).sum()
            shares = shares.mul_(weight / mass).scatter_add_(1, item, -weight).to(number)
            d_queries[part] = shares @ small_keys
            d_keys += shares.T @ query
        ctx.save_for_backward(d_queries, d_keys)
        return total.to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        d_queries, d_keys = ctx.saved_tensors
        return d_queries * gradients[0], d_keys * gradients[0], None, None, None


def full_softmax(queries: Tensor, keys: Tensor, items: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy over the whole catalog; matrix products in bfloat16 under autocast."""
    kind = queries.device.type
    low = torch.is_autocast_enabled(kind)
    with torch.autocast(kind, enabled=False):
        loss: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
            queries.float(), keys.float(), items, weights.float(), low
        )
    return loss


class SampledSoftmax:
    """Cross-entropy against negatives drawn once per step, corrected for how likely each was drawn (logQ).

    The correction makes the expectation that of the full softmax (Bengio and Senecal 2008; Yi et al., RecSys 2019).
    Negatives are shared by all targets of a step; one that is the target itself is left out.

    Args:
        counts: [n], events per item; drawn in proportion to counts ** 0.75, at least as if seen once.
        negatives: how many are drawn.
    """

    def __init__(self, counts: Tensor, negatives: int) -> None:
        if negatives < 1:
            raise ConfigInvalid(f"the sampled softmax needs at least one negative, got {negatives}")
        mass = counts.clamp(min=1).to(torch.float32) ** 0.75
        self._share = mass / mass.sum()
        self._negatives = negatives

    def __call__(self, queries: Tensor, keys: Tensor, items: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of losses."""
        share = self._share.to(queries.device)
        drawn = torch.multinomial(share, self._negatives, replacement=True)
        expected = torch.log(share[drawn] * self._negatives)
        logits = queries @ keys[drawn].T - expected
        logits = logits.masked_fill(drawn[None] == items[:, None], -torch.inf)
        own = (queries * keys[items]).sum(dim=-1, keepdim=True)
        losses = torch.logsumexp(torch.cat([own, logits], dim=1), dim=1) - own[:, 0]
        return (losses * weights).sum()


class InfoNce:
    """Cross-entropy against the other targets of the batch, corrected for their popularity (logQ).

    Args:
        counts: [n], events per item.
    """

    def __init__(self, counts: Tensor) -> None:
        self._log_share = torch.log(counts.clamp(min=1).to(torch.float32) / counts.sum().clamp(min=1))

    def __call__(self, queries: Tensor, keys: Tensor, items: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted sum of losses; each distinct target is a negative once."""
        distinct, place = torch.unique(items, return_inverse=True)
        logits = queries @ keys[distinct].T - self._log_share.to(queries.device)[distinct]
        return (F.cross_entropy(logits, place, reduction="none") * weights).sum()


def pairwise_pointwise(logits: Tensor) -> Tensor:
    """Sum over rows of three ranking losses on candidates [N, C] whose first column is the positive.

    Softmax among the candidates; pairwise logistic of the positive against each other one (BPR, Rendle et al. 2009);
    pointwise logistic with both kinds weighing alike (SynerGen ranks by the last two).
    """
    positive, others = logits[:, :1], logits[:, 1:]
    softmax = torch.logsumexp(logits, dim=1) - positive[:, 0]
    if not others.shape[1]:
        return softmax.sum()
    pairwise = F.softplus(others - positive).mean(dim=1)
    centre = logits.mean(dim=1, keepdim=True).detach()  # only differences matter: retrieval logits have no zero
    pointwise = 0.5 * (F.softplus(centre - positive)[:, 0] + F.softplus(others - centre).mean(dim=1))
    return (softmax + pairwise + pointwise).sum()


def make_objective(name: str, counts: Tensor, negatives: int) -> Objective:
    """Return the objective of that name.

    Raises:
        ConfigInvalid: there is none.
    """
    makers: dict[str, Callable[[], Objective]] = {
        "softmax": lambda: full_softmax,
        "sampled": lambda: SampledSoftmax(counts, negatives),
        "infonce": lambda: InfoNce(counts),
    }
    if name not in makers:
        raise ConfigInvalid(f"the objective must be one of {', '.join(get_args(ObjectiveName))}, got {name!r}")
    return makers[name]()
