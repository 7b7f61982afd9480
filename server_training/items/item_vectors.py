"""Item vectors from two sides: what an item is (text) and what it is used with (co-occurrence).

Each side has unit length per item, times its weight, so the squared distance of two items is a weighted sum of two
cosine distances; or both sides are aligned by contrast in one space. An item nobody interacted with in training is
placed by its text among what it resembles. Knows nothing of codes; a tokenizer reads the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from server_training.data.split import Split
from server_training.errors import ConfigInvalid
from server_training.files import default_cache
from server_training.items.alignment import Alignment
from server_training.items.co_use import by_neighbours, co_occurrence, use_vectors
from server_training.items.smoothing import smoothed
from server_training.items.text import ItemText, TextEncoder, TextReader, Vectors, read_texts


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """How item vectors are made.

    Attributes:
        text: ``tfidf``, words and attributes; ``minilm``, what a sentence encoder makes of title and text.
        text_size: numbers per item in the text block of ``tfidf``, at most.
        use_size: numbers per item in the co-occurrence block, at most.
        text_weight: length of the text block.
        use_weight: length of the co-occurrence block.
        aligned: bring both sides into one space by contrast (DAS), in place of the weighted blocks.
        alignment_steps: of its optimiser.
        smoothing: steps over the user-item graph (MMGRec); 0 for none.
        window: events on either side that count as used together.
        neighbours: items by text whose mean fills a missing co-occurrence block.
        seed: of the randomised SVD and the alignment.
    """

    text: TextEncoder = "tfidf"
    text_size: int = 64
    use_size: int = 64
    text_weight: float = 1.0
    use_weight: float = 1.0
    aligned: bool = False
    alignment_steps: int = 1000
    smoothing: int = 0
    window: int = 5
    neighbours: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.text not in get_args(TextEncoder):
            raise ConfigInvalid(f"text must be one of {', '.join(get_args(TextEncoder))}, got {self.text!r}")
        if min(self.text_size, self.use_size, self.window, self.neighbours, self.alignment_steps) < 1:
            raise ConfigInvalid(f"expected sizes, steps, window and neighbours of at least 1, got {self}")
        if min(self.text_weight, self.use_weight) < 0 or self.text_weight + self.use_weight <= 0:
            raise ConfigInvalid(f"expected weights >= 0, not both 0, got {self}")
        if not 0 <= self.smoothing <= 8:
            raise ConfigInvalid(f"expected 0 to 8 steps of smoothing, got {self.smoothing}")


@dataclass(frozen=True, slots=True)
class ItemFeatures:
    """Vectors of a catalog, and what is needed to place a new item among them.

    Attributes:
        vectors: float32 ``[n, d]``, text block first, in catalog order.
        text: the text block: unit vectors float32 ``[n, m]``, zeros for an item without text.
        known: bool ``[n]``, whether the item has co-occurrence of its own.
    """

    vectors: Vectors
    text: Vectors
    known: NDArray[np.bool_]
    _use: Vectors
    _reader: TextReader
    _config: FeatureConfig
    _alignment: Alignment | None

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
        reader, text = read_texts(catalog, config.text, config.text_size, config.seed, cache or default_cache())
        counts = co_occurrence(split, config.window)
        use = use_vectors(counts, config.use_size, config.seed)
        known = np.linalg.norm(use, axis=1) > 0
        use[~known] = by_neighbours(text[~known], text[known], use[known], config.neighbours)
        alignment = None
        if config.aligned:
            alignment = Alignment.fit(text, use, known, counts, steps=config.alignment_steps, seed=config.seed)
        vectors = _together(text, use, known, config, alignment)
        if config.smoothing:
            vectors = smoothed(vectors, split, config.smoothing)
        return cls(vectors, text, known, use, reader, config, alignment)

    def read(self, items: Sequence[ItemText]) -> Vectors:
        """The text block float32 ``[len(items), m]`` of items outside the catalog."""
        return self._reader.apply(items)

    def place(self, items: Sequence[ItemText]) -> Vectors:
        """Vectors float32 ``[len(items), d]`` of items outside the catalog, from their text alone."""
        text = self.read(items)
        use = by_neighbours(text, self.text[self.known], self._use[self.known], self._config.neighbours)
        return _together(text, use, np.zeros(len(items), np.bool_), self._config, self._alignment)


def _together(
    text: Vectors, use: Vectors, known: NDArray[np.bool_], config: FeatureConfig, alignment: Alignment | None
) -> Vectors:
    if alignment is not None:
        return alignment.apply(text, use, known)
    return np.concatenate([text * config.text_weight, use * config.use_weight], axis=1).astype(np.float32)
