"""What a backbone is given beside the item vectors, and the masks and biases that several backbones share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

HIDDEN = -1e4  # far below any logit, and still finite in half precision
MAX_LOG_TIME = 31


@dataclass(frozen=True, slots=True)
class History:
    """A batch of left-padded histories.

    Attributes:
        real: bool [N, T], false where padded.
        gaps: int64 [N, T], bucketed time to the next event, 0 where padded.
        ages: int64 [N, T], seconds before the moment of the request, 0 where padded.
    """

    real: Tensor
    gaps: Tensor
    ages: Tensor

    def visible(self) -> Tensor:
        """Bool [N, 1, T, T]: whether a query (third axis) sees a key.

        A padded query sees itself, so that no row is empty.
        """
        length = self.real.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=self.real.device).tril()
        diagonal = torch.eye(length, dtype=torch.bool, device=self.real.device)
        return ((causal & self.real[:, None, :]) | diagonal)[:, None]


class RelativePosition(nn.Module):
    """A learned bias per head for the distance of query and key (as in T5, without buckets)."""

    def __init__(self, heads: int, length: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(heads, length))

    def forward(self, ages: Tensor) -> Tensor:
        """Return [1, h, T, T] for the newest T positions; above the diagonal, which is masked, zeros.

        Args:
            ages: any tensor [N, T] that is known only when the model runs.
        """
        heads, length = self.bias.shape[0], ages.shape[1]
        nothing = (ages[:1, :1] * 0).to(self.bias.dtype)
        # The matrix is T times the size of what it is made of. Hung on an input, it is made on the device instead of
        # being folded into the program as a constant. Row i of a table of rows 2T, read as rows of 2T - 1, starts i
        # places earlier: that is the shift a distance needs.
        line = torch.cat([self.bias[:, :length].flip(1), torch.zeros_like(self.bias[:, :length])], dim=1) + nothing
        flat = line[:, None].expand(heads, length, 2 * length).reshape(heads, 2 * length * length)
        shifted = flat[:, : length * (2 * length - 1)].reshape(heads, length, 2 * length - 1)
        return shifted[:, :, length - 1 :][None]


class RelativeTime(nn.Module):
    """A learned bias per head for the time from a key's event to the event after the query, in powers of two.

    Bucket b covers 2^b to 2^(b+1) seconds, as HSTU's `floor(ln(max(1, t)) / 0.301)` does in steps of 1.35.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.bias = nn.Embedding(MAX_LOG_TIME + 1, heads)
        nn.init.zeros_(self.bias.weight)

    def forward(self, ages: Tensor) -> Tensor:
        """Map ages int64 [N, T] to biases [N, h, T, T]."""
        following = torch.cat([ages[:, 1:], torch.zeros_like(ages[:, :1])], dim=1)
        elapsed = (ages[:, None, :] - following[:, :, None]).clamp(min=1).to(torch.float32)
        # The half keeps powers of two off the border, where runtimes might round differently.
        buckets = torch.log2(elapsed + 0.5).to(torch.int64).clamp(max=MAX_LOG_TIME)
        biases: Tensor = self.bias(buckets).permute(0, 3, 1, 2)
        return biases
