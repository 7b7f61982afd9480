"""The device's constrained beam search, for many histories at once, with noise: a stochastic beam.

Without noise it finds what `device_runtime.beam_search` finds, which a test checks. With noise every leaf, an item,
gets the Gumbel noise that `sampling` would give it, level by level from the noise of its prefix, so that a list is a
sample without replacement from the distribution of whole items (Kool, van Hoof, Welling, "Stochastic Beams and Where to
Find Them", ICML 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor

from server_training.alignment.sampling import gumbel
from server_training.models.code_index import CodeIndex, LevelLogits


@torch.no_grad()
def sampled_beam(
    index: CodeIndex,
    logits_of: LevelLogits,
    states: Tensor,
    hidden: Tensor,
    width: int,
    temperature: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw int64 [P, width] distinct catalog rows in the order drawn, -1 where none is left.

    Args:
        index: codes of the catalog.
        logits_of: see `CodeIndex.losses`.
        states: [P, d].
        hidden: int64 [P, H], rows that are not returned; they do not change the probabilities of the others.
        width: of the beam, and of the list.
        temperature: logits of every code are divided by it; 0 for the search without noise.
        generator: of the noise.
    """
    noisy = temperature > 0
    hidden = _once(hidden)
    kept = torch.zeros(len(states), 1, dtype=torch.int64)
    log_probs = keys = torch.zeros(len(states), 1)
    for level in range(index.levels):
        prefixes, children, leaves = index.branches(level)
        wide = states[:, None].expand(-1, kept.shape[1], -1)
        logits = logits_of(level, wide, prefixes[kept] if level else None)
        child = children[kept]
        logits = logits.masked_fill(child < 0, -torch.inf) / (temperature if noisy else 1.0)
        steps = log_probs[..., None] + torch.log_softmax(logits, dim=-1)
        values = _perturbed(steps, keys, generator) if noisy else steps
        dead = (child < 0) | torch.isinf(keys)[..., None] | ~_any_left(index, level, child, leaves, hidden)
        values = values.masked_fill(dead, -torch.inf).flatten(1)
        keys, best = values.topk(min(width, values.shape[1]), dim=1)
        log_probs = steps.flatten(1).gather(1, best)
        kept = child.flatten(1).gather(1, best).clamp(min=0)
    rows = kept.masked_fill(torch.isinf(keys), -1)
    return torch.nn.functional.pad(rows, (0, width - rows.shape[1]), value=-1)


def _perturbed(steps: Tensor, keys: Tensor, generator: torch.Generator) -> Tensor:
    """Gumbel noise on log-probabilities [P, B, K], given that its maximum is `keys` [P, B] (Kool, appendix B)."""
    noisy = steps + gumbel(steps.shape, generator)
    top = noisy.amax(dim=-1, keepdim=True)
    gap = keys[..., None] - noisy + torch.log1p(-torch.exp(noisy - top).clamp(max=1.0))
    found: Tensor = keys[..., None] - torch.relu(gap) - torch.log1p(torch.exp(-gap.abs()))
    return torch.where(torch.isinf(steps), -torch.inf, found)


def _any_left(index: CodeIndex, level: int, child: Tensor, leaves: Tensor, hidden: Tensor) -> Tensor:
    """Bool, of the shape of `child` [P, B, K]: whether an item that is not hidden lies below it."""
    real = hidden >= 0
    owners = torch.where(real, index.owners(level + 1)[hidden.clamp(min=0)], 0)
    left = leaves.expand(len(hidden), -1).scatter_add(1, owners, -real.long())
    return left.gather(1, child.clamp(min=0).flatten(1)).reshape(child.shape) > 0


def _once(rows: Tensor) -> Tensor:
    """The rows int64 [P, H] of each line, each once, -1 in place of the others."""
    ordered = rows.sort(dim=1).values
    again = torch.nn.functional.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
    return ordered.masked_fill(again, -1)
