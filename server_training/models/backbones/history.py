"""What a backbone is given beside the item vectors, and the masks and biases that several backbones share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from device_runtime import RESUMED

HIDDEN = -1e4  # far below any logit, and still finite in half precision
MAX_LOG_TIME = 31


@dataclass(frozen=True, slots=True)
class History:
    """A batch of left-padded histories.

    Attributes:
        real: bool [N, T], false where padded.
        gaps: int64 [N, T], bucketed time to the next event, 0 where padded.
        ages: int64 [N, T], seconds before the moment of the request, 0 where padded.
        past: [N, 2 * layers, T - `RESUMED`, d], keys and values of every layer as an earlier call gave them, none of
            them padding; None when every position is computed.
    """

    real: Tensor
    gaps: Tensor
    ages: Tensor
    past: Tensor | None = None

    @property
    def computed(self) -> int | None:
        """How many of the newest positions are computed; None for all."""
        return None if self.past is None else RESUMED

    def hidden(self, newest: int | None) -> Tensor:
        """Float32 [N, 1, Q, T]: 1 where a query (third axis, the newest Q positions, all when None) must not see a key.

        Hidden are later events and padding; a padded query sees itself, so that no row is empty. In arithmetic, not in
        truth values: on devices comparisons and selections run outside the delegate and cost more than the attention.
        """
        places = torch.arange(self.real.shape[1], device=self.real.device).to(torch.float32)
        distance = places[None, :] - last(places, newest, dim=0)[:, None]
        padded = (1.0 - self.real.to(torch.float32))[:, None]
        return torch.maximum(distance.clamp(0.0, 1.0), padded * distance.abs().clamp(max=1.0))[:, None]

    def joined(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values [N, T, d] of all positions of a layer, given those of the queries."""
        if self.past is None:
            return keys, values
        past_keys, past_values = self.past[:, 2 * layer], self.past[:, 2 * layer + 1]
        return torch.cat([past_keys, keys], dim=1), torch.cat([past_values, values], dim=1)


def last(x: Tensor, newest: int | None, dim: int = 1) -> Tensor:
    """The newest positions of an axis, all of them when None."""
    return x if newest is None else x.narrow(dim, x.shape[dim] - newest, newest)


def thirds(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut the last axis in three equal parts.

    By slices: ExecuTorch's exporter fixes dynamic shapes at a `split` or `chunk`, which shows only when the program
    runs.
    """
    d = x.shape[-1] // 3
    return x[..., :d], x[..., d : 2 * d], x[..., 2 * d :]


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """Softmax attention, [N, h, Q, d / h].

    PyTorch's own is faster in training. What it exports to guards rows without any key by comparisons and selections
    over the whole matrix, most of the time of a call on a device; here no row is without a key.

    Args:
        q: queries [N, h, Q, d / h].
        k: keys [N, h, T, d / h].
        v: values, as keys.
        bias: added to the logits, [N or 1, h or 1, Q, T].
        dropout: of the weights; 0 outside training.
    """
    if dropout:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout)
    logits = torch.matmul(q, k.transpose(2, 3)) * q.shape[-1] ** -0.5 + bias
    return torch.matmul(torch.softmax(logits, dim=-1), v)


def in_heads(x: Tensor, heads: int) -> Tensor:
    """[N, T, d] to [N, h, T, d / h]."""
    n, t, d = x.shape
    return x.reshape(n, t, heads, d // heads).transpose(1, 2)


class RelativePosition(nn.Module):
    """A learned bias per head for the distance of query and key (as in T5, without buckets)."""

    def __init__(self, heads: int, length: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(heads, length))

    def forward(self, history: History, newest: int | None) -> Tensor:
        """Return [1, h, Q, T] for the newest T positions; above the diagonal, which is masked, zeros."""
        ages = history.ages
        heads, length = self.bias.shape[0], ages.shape[1]
        places = torch.arange(length, device=ages.device)
        line = self.bias.index_select(1, length - 1 - places)  # what the newest position adds to every key
        # The matrix is T times the size of what it is made of. Hung on an input, it is made on the device instead of
        # being folded into the program as a constant.
        line = line + ages[:1, :1].to(self.bias.dtype) * 0
        nothing = line * 0
        if newest is not None:
            rows = [torch.cat([line[:, n:], nothing[:, :n]], dim=1) if n else line for n in range(newest)]
            return torch.stack(rows[::-1], dim=1)[None]
        # Row i of a table of rows 2T, read as rows of 2T - 1, starts i places earlier: the shift that a distance needs.
        wide = torch.cat([line, nothing], dim=1)
        flat = wide[:, None].expand(heads, length, 2 * length).reshape(heads, 2 * length * length)
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

    def forward(self, history: History, newest: int | None) -> Tensor:
        """Return biases [N, h, Q, T]."""
        ages = history.ages
        following = torch.cat([ages[:, 1:], torch.zeros_like(ages[:, :1])], dim=1)
        following = last(following, newest)
        elapsed = (ages[:, None, :] - following[:, :, None]).clamp(min=1).to(torch.float32)
        # The half keeps powers of two off the border, where runtimes might round differently.
        buckets = torch.log2(elapsed + 0.5).to(torch.int64).clamp(max=MAX_LOG_TIME)
        biases: Tensor = self.bias(buckets).permute(0, 3, 1, 2)
        return biases
