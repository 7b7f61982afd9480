"""Item vectors from two sides: what an item is (text) and what it is used with (co-occurrence).

Text: TF-IDF over the words of title and text and over whole attributes, then a truncated SVD. Co-occurrence:
positive pointwise mutual information of items within a window of a user's TRAINING events, context counts
smoothed by the power 0.75 (Levy, Goldberg, Dagan, TACL 2015), then a truncated SVD. Each block has unit
length per item, times its weight, so the squared distance of two items is a weighted sum of two cosine
distances.

An item nobody interacted with in training has no co-occurrence of its own; it takes the mean of its nearest
items by text, so that it is placed among what it resembles. Knows nothing of codes; a tokenizer reads the
vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from server_training.data.split import Split
from server_training.errors import ConfigInvalid
from server_training.files import default_cache
from server_training.items.minilm import sentence_vectors

Vectors = NDArray[np.float32]
TextEncoder = Literal["tfidf", "minilm"]
_WORD = re.compile(r"\w\w+")
_SMOOTHING = 0.75
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """How item vectors are made.

    Attributes:
        text: ``tfidf``, words and attributes; ``minilm``, what a sentence encoder makes of title and text.
        text_size: numbers per item in the text block of ``tfidf``, at most.
        use_size: numbers per item in the co-occurrence block, at most.
        text_weight: length of the text block.
        use_weight: length of the co-occurrence block.
        window: events on either side that count as used together.
        neighbours: items by text whose mean fills a missing co-occurrence block.
        seed: of the randomised SVD.
    """

    text: TextEncoder = "tfidf"
    text_size: int = 64
    use_size: int = 64
    text_weight: float = 1.0
    use_weight: float = 1.0
    window: int = 5
    neighbours: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.text not in get_args(TextEncoder):
            raise ConfigInvalid(f"text must be one of {', '.join(get_args(TextEncoder))}, got {self.text!r}")
        if min(self.text_size, self.use_size, self.window, self.neighbours) < 1:
            raise ConfigInvalid(f"expected sizes, window and neighbours of at least 1, got {self}")
        if min(self.text_weight, self.use_weight) < 0 or self.text_weight + self.use_weight <= 0:
            raise ConfigInvalid(f"expected weights >= 0, not both 0, got {self}")


@dataclass(frozen=True, slots=True)
class ItemText:
    """What is known of an item without anyone having used it."""

    title: str
    text: str = ""
    attributes: tuple[str, ...] = ()

    def terms(self) -> list[str]:
        """Lower-case words, and every attribute as one term of its own kind."""
        words: list[str] = _WORD.findall(f"{self.title} {self.text}".lower())
        return words + [f"={attribute.lower()}" for attribute in self.attributes]

    def sentence(self) -> str:
        """Title, text and attributes in one line."""
        return " ".join(part for part in (self.title, self.text, *self.attributes) if part)


@dataclass(frozen=True, slots=True)
class ItemFeatures:
    """Vectors of a catalog, and what is needed to place a new item among them.

    Attributes:
        vectors: float32 ``[n, d]``, text block first, in catalog order.
        known: bool ``[n]``, whether the item has co-occurrence of its own.
    """

    vectors: Vectors
    known: NDArray[np.bool_]
    _text: Vectors
    _use: Vectors
    _reader: TextReader
    _config: FeatureConfig

    @classmethod
    def fit(cls, split: Split, config: FeatureConfig | None = None, cache: Path | None = None) -> ItemFeatures:
        """Make vectors from the catalog's text and the split's training events.

        Args:
            split: whose training events and catalog are read.
            config: how; the defaults when None.
            cache: where weights and vectors of the sentence encoder are kept; a folder of the user's when None.

        Raises:
            DataUnavailable: the sentence encoder's weights cannot be fetched.
        """
        config = config or FeatureConfig()
        data = split.data
        catalog = [ItemText(*parts) for parts in zip(data.titles, data.texts, data.attributes, strict=True)]
        reader, text = _read(catalog, config, cache or default_cache())
        use = _use_vectors(co_occurrence(split, config.window), config)
        known = np.linalg.norm(use, axis=1) > 0
        use[~known] = _by_neighbours(text[~known], text[known], use[known], config.neighbours)
        return cls(_join(text, use, config), known, text, use, reader, config)

    @property
    def text(self) -> Vectors:
        """The text block: unit vectors float32 ``[n, m]``, zeros for an item without text."""
        return self._text

    def place(self, items: Sequence[ItemText]) -> Vectors:
        """Vectors float32 ``[len(items), d]`` of items outside the catalog, from their text alone."""
        text = self._reader.apply(items)
        use = _by_neighbours(text, self._text[self.known], self._use[self.known], self._config.neighbours)
        return _join(text, use, self._config)


class TextReader(Protocol):
    """Text of items to vectors."""

    def apply(self, items: Sequence[ItemText]) -> Vectors:
        """Unit vectors float32 ``[len(items), m]``, zeros for an item without text."""
        ...


@dataclass(frozen=True, slots=True)
class _SentenceReader:
    """The sentence encoder, on title, text and attributes."""

    cache: Path

    def apply(self, items: Sequence[ItemText]) -> Vectors:
        return sentence_vectors([item.sentence() for item in items], self.cache)


def _read(catalog: Sequence[ItemText], config: FeatureConfig, cache: Path) -> tuple[TextReader, Vectors]:
    if config.text == "tfidf":
        return _TextReduction.fit(catalog, config)
    reader = _SentenceReader(cache)
    return reader, reader.apply(catalog)


@dataclass(frozen=True, slots=True)
class _TextReduction:
    """Text to unit vectors; without any term in the catalog, to nothing (width 0)."""

    terms: TfidfVectorizer | None
    svd: TruncatedSVD | None

    @classmethod
    def fit(cls, catalog: Sequence[ItemText], config: FeatureConfig) -> tuple[_TextReduction, Vectors]:
        if not any(item.terms() for item in catalog):
            return cls(None, None), np.zeros((len(catalog), 0), np.float32)
        vectorizer = TfidfVectorizer(analyzer=ItemText.terms, sublinear_tf=True)
        weights = vectorizer.fit_transform(catalog)
        size = min(config.text_size, *weights.shape)
        svd = TruncatedSVD(size, random_state=config.seed).fit(weights) if size < min(weights.shape) else None
        reduction = cls(vectorizer, svd)
        return reduction, reduction.apply(catalog)

    def apply(self, items: Sequence[ItemText]) -> Vectors:
        if self.terms is None:
            return np.zeros((len(items), 0), np.float32)
        weights = self.terms.transform(items)
        return _unit(weights.toarray() if self.svd is None else self.svd.transform(weights))


def co_occurrence(split: Split, window: int) -> sparse.csr_array:
    """Symmetric counts ``[n, n]`` of item pairs at most ``window`` training events of one user apart."""
    events = split.train_events()
    owner = np.repeat(np.arange(split.data.n_users), np.diff(split.data.offsets))[events]
    items = split.data.items[events]
    n = split.data.n_items
    counts = sparse.csr_array((n, n), dtype=np.float64)
    for distance in range(1, window + 1):
        same = owner[distance:] == owner[:-distance]
        left, right = items[:-distance][same], items[distance:][same]
        apart = left != right
        pairs = (np.ones(int(apart.sum())), (left[apart], right[apart]))
        counts += sparse.coo_array(pairs, shape=(n, n)).tocsr()
    return sparse.csr_array(counts + counts.T)


def _use_vectors(counts: sparse.csr_array, config: FeatureConfig) -> Vectors:
    """Unit vectors by SVD of the positive pointwise mutual information; zeros for items without pairs."""
    n = counts.shape[0]
    size = min(config.use_size, n - 1)
    if not counts.nnz or size < 1:
        return np.zeros((n, max(size, 0)), np.float32)
    pairs = counts.tocoo()
    row, column = pairs.coords
    totals = np.asarray(counts.sum(axis=1)).ravel()
    context = totals**_SMOOTHING
    ratio = pairs.data * context.sum() / (totals[row] * context[column])
    positive = np.maximum(np.log(ratio), 0.0)
    matrix = sparse.csr_array((positive, (row, column)), shape=(n, n))
    svd = TruncatedSVD(size, random_state=config.seed)
    left = svd.fit_transform(matrix)
    # U·sqrt(S) rather than U·S: the first directions, mostly popularity, weigh less.
    vectors = _unit(left / np.sqrt(np.maximum(svd.singular_values_, 1e-12)))
    vectors[totals == 0] = 0.0
    return vectors


def _by_neighbours(wanted: Vectors, text: Vectors, use: Vectors, neighbours: int) -> Vectors:
    """Unit mean of the co-occurrence vectors of the nearest known items by text; zeros without text."""
    filled = np.zeros((len(wanted), use.shape[1]), np.float32)
    if not len(text) or not text.shape[1]:
        return filled
    count = min(neighbours, len(text))
    for start in range(0, len(wanted), _BATCH):
        near = np.maximum(wanted[start : start + _BATCH] @ text.T, 0.0)
        best = np.argsort(-near, axis=1, kind="stable")[:, :count]
        shares = np.take_along_axis(near, best, axis=1)
        filled[start : start + _BATCH] = np.einsum("bk,bkd->bd", shares, use[best])
    return _unit(filled)


def _join(text: Vectors, use: Vectors, config: FeatureConfig) -> Vectors:
    return np.concatenate([text * config.text_weight, use * config.use_weight], axis=1).astype(np.float32)


def _unit(rows: NDArray[np.floating]) -> Vectors:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # What is left of an empty row after an SVD is rounding noise; blowing it up would invent a direction.
    scaled = np.where(lengths > 1e-9, rows / np.maximum(lengths, 1e-9), 0.0)
    return scaled.astype(np.float32)
