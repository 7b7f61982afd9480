"""What is known of an item without anyone having used it, and how its text becomes a vector.

TF-IDF over the words of title and text and over whole attributes, then a truncated SVD; or the sentence encoder of
``minilm``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from server_training.items.minilm import sentence_vectors

if TYPE_CHECKING:  # takes seconds to import: only where text is read
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

Vectors = NDArray[np.float32]
TextEncoder = Literal["tfidf", "minilm"]
_WORD = re.compile(r"\w\w+")


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


def read_texts(
    catalog: Sequence[ItemText], encoder: TextEncoder, size: int, seed: int, cache: Path
) -> tuple[TextReader, Vectors]:
    """A reader fitted on a catalog, and the unit vectors float32 ``[n, m]`` it makes of it.

    Args:
        catalog: every item.
        encoder: which.
        size: numbers per item, at most, for ``tfidf``.
        seed: of the randomised SVD.
        cache: where weights and vectors of the sentence encoder are kept.

    Raises:
        DataUnavailable: the sentence encoder's weights cannot be fetched.
    """
    if encoder == "tfidf":
        return _TextReduction.fit(catalog, size, seed)
    reader = _SentenceReader(cache)
    return reader, reader.apply(catalog)


@dataclass(frozen=True, slots=True)
class _TextReduction:
    """Text to unit vectors; without any term in the catalog, to nothing (width 0)."""

    terms: TfidfVectorizer | None
    svd: TruncatedSVD | None

    @classmethod
    def fit(cls, catalog: Sequence[ItemText], size: int, seed: int) -> tuple[_TextReduction, Vectors]:
        if not any(item.terms() for item in catalog):
            return cls(None, None), np.zeros((len(catalog), 0), np.float32)
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer=ItemText.terms, sublinear_tf=True)
        weights = vectorizer.fit_transform(catalog)
        size = min(size, *weights.shape)
        svd = TruncatedSVD(size, random_state=seed).fit(weights) if size < min(weights.shape) else None
        reduction = cls(vectorizer, svd)
        return reduction, reduction.apply(catalog)

    def apply(self, items: Sequence[ItemText]) -> Vectors:
        if self.terms is None:
            return np.zeros((len(items), 0), np.float32)
        weights = self.terms.transform(items)
        return unit(weights.toarray() if self.svd is None else self.svd.transform(weights))


def unit(rows: NDArray[np.floating]) -> Vectors:
    """Rows of length one, float32; rows of zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # What is left of an empty row after an SVD is rounding noise; blowing it up would invent a direction.
    scaled = np.where(lengths > 1e-9, rows / np.maximum(lengths, 1e-9), 0.0)
    return scaled.astype(np.float32)
