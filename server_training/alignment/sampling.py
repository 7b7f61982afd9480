"""Drawing lists without replacement from a table of log-probabilities.

Adding Gumbel noise to every log-probability and sorting draws item after item, each in proportion to its probability
among those left (Plackett-Luce; the "Gumbel-top-k trick", Vieira 2014; Kool et al., ICML 2019).
"""

from __future__ import annotations

import torch
from torch import Tensor


def without_replacement(
    table: Tensor, lists: int, length: int, temperature: float, generator: torch.Generator
) -> Tensor:
    """Draw int64 [P, lists, length] columns in the order drawn, -1 where no finite one is left.

    Args:
        table: float [P, n], log-probabilities; those of -inf are never drawn.
        lists: M, how many lists per line.
        length: K of each.
        temperature: log-probabilities are divided by it; at 0 every list is the best columns, best first.
        generator: of the noise.
    """
    keys = table[:, None].expand(-1, lists, -1)
    if temperature > 0:
        keys = keys / temperature + gumbel(keys.shape, generator)
    values, columns = keys.topk(min(length, table.shape[1]), dim=2)
    columns = columns.masked_fill(torch.isinf(values), -1)
    return torch.nn.functional.pad(columns, (0, length - columns.shape[2]), value=-1)


def gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard Gumbel noise float32."""
    uniform = torch.rand(shape, generator=generator).clamp_(min=1e-20)
    return uniform.log_().neg_().clamp_(min=1e-20).log_().neg_()
