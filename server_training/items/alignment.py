"""Text and use brought into one space by contrast, before items get their semantic IDs.

After DAS (Ye et al., "Dual-Aligned Semantic IDs", CIKM 2025), in small form: a text map and a use map are learnt so
that an item's two vectors find each other among a batch (InfoNCE both ways), and so that items used together find each
other, corrected for how often an item is seen at all (log Q), lest popular items draw everything to themselves. A new
item has only its text, and lands where its use would have put it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional as F

from server_training.items.text import Vectors, unit

_WIDTH = 64
_HIDDEN = 256
_TEMPERATURE = 0.07
_BATCH = 512
_RATE = 1e-3


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two learnt maps into one space.

    Attributes:
        text_map: from text vectors.
        use_map: from use vectors.
    """

    text_map: nn.Sequential
    use_map: nn.Sequential

    @classmethod
    def fit(
        cls, text: Vectors, use: Vectors, known: NDArray[np.bool_], counts: sparse.csr_array, *, steps: int, seed: int
    ) -> Alignment:
        """Learn both maps.

        Args:
            text: float32 [n, m].
            use: float32 [n, u].
            known: bool [n], items that have been used.
            counts: how often two items were used together, [n, n].
            steps: of the optimiser.
            seed: equal seeds and inputs give equal maps.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            aligned = cls(_map(text.shape[1]), _map(use.shape[1]))
            rows = np.flatnonzero(known)
            pairs = counts.tocoo()
            if len(rows) >= 2 and len(pairs.data) and text.shape[1] and use.shape[1]:
                aligned._learn(torch.from_numpy(text), torch.from_numpy(use), rows, pairs, steps, seed)
        return aligned

    def apply(self, text: Vectors, use: Vectors, known: NDArray[np.bool_]) -> Vectors:
        """Map to unit vectors float32 [k, 64]: text and use together, or text alone where the use is not known."""
        with torch.no_grad():
            by_text = F.normalize(self.text_map(torch.from_numpy(text)), dim=1).numpy()
            by_use = F.normalize(self.use_map(torch.from_numpy(use)), dim=1).numpy()
        return unit(by_text + np.where(known[:, None], by_use, 0.0))

    def _learn(
        self, text: Tensor, use: Tensor, rows: NDArray[np.int64], pairs: sparse.coo_array, steps: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        left, right = pairs.coords
        share = np.cumsum(pairs.data, dtype=np.float64)
        seen = np.bincount(right, pairs.data, minlength=len(text))
        log_seen = torch.from_numpy(np.log(np.maximum(seen, 1e-9) / seen.sum())).float()
        parameters = [*self.text_map.parameters(), *self.use_map.parameters()]
        optimiser = torch.optim.Adam(parameters, lr=_RATE)
        for _ in range(steps):
            both = torch.from_numpy(rng.choice(rows, min(_BATCH, len(rows)), replace=False))
            drawn = np.minimum(np.searchsorted(share, rng.random(_BATCH) * share[-1], side="right"), len(share) - 1)
            a, b = torch.from_numpy(left[drawn].astype(np.int64)), torch.from_numpy(right[drawn].astype(np.int64))
            loss = _contrast(self._text(text[both]), self._use(use[both]), both)
            together = [self._text(text[side]) + self._use(use[side]) for side in (a, b)]
            loss = loss + _contrast(F.normalize(together[0], dim=1), F.normalize(together[1], dim=1), b, log_seen[b])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def _text(self, vectors: Tensor) -> Tensor:
        return F.normalize(self.text_map(vectors), dim=1)

    def _use(self, vectors: Tensor) -> Tensor:
        return F.normalize(self.use_map(vectors), dim=1)


def _map(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _WIDTH))


def _contrast(one: Tensor, other: Tensor, names: Tensor, log_seen: Tensor | None = None) -> Tensor:
    """InfoNCE both ways; the same item elsewhere in the batch is no negative."""
    logits = one @ other.T / _TEMPERATURE
    if log_seen is not None:
        logits = logits - log_seen
    same = (names[:, None] == names) & ~torch.eye(len(names), dtype=torch.bool)
    logits = logits.masked_fill(same, float("-inf"))
    wanted = torch.arange(len(names))
    return F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)
