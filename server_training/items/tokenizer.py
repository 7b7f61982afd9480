"""Semantic IDs by residual k-means: an item becomes L codes that tell where its vector lies.

Level by level, k-means runs on what the levels before left over (the RQ-k-means of OneRec and MiniOneRec);
then ``code_places`` makes the codes unique. Like items share a prefix, and a new item takes a free place near
what it resembles, without retraining. Knows nothing of text or models.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import MAX_CODEBOOK, MAX_LEVELS
from server_training.errors import ConfigInvalid, TokenizerError
from server_training.files import write_atomically
from server_training.items.code_places import Codes, free_codes, quantise, unique_codes
from server_training.items.kmeans import Vectors, kmeans

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class TokenizerReport:
    """How well the codes spread.

    Attributes:
        items: items encoded.
        distinct_before: distinct codes as quantised, before they were made unique.
        overflowed: items that did not fit under their own prefix.
        used: codes in use per level, after.
        perplexity: exp of the entropy of code use per level, after; ``codebook_size`` when all are used
            alike.
    """

    items: int
    distinct_before: int
    overflowed: int
    used: tuple[int, ...]
    perplexity: tuple[float, ...]

    @property
    def collision_rate(self) -> float:
        """Share of items that had no code of their own as quantised: 1 - distinct / items."""
        return 1.0 - self.distinct_before / self.items


@dataclass(frozen=True, slots=True)
class ResidualKMeans:
    """Learns codebooks and gives every item its codes.

    Attributes:
        levels: L, codes per item, 2 to ``MAX_LEVELS`` of the device's catalog.
        codebook_size: K, codes per level, 2 to ``MAX_CODEBOOK`` of the device's catalog.
        seed: of the k-means starts; equal seeds and vectors give equal codes.
        iterations: of Lloyd's algorithm per level, at most.
    """

    levels: int = 3
    codebook_size: int = 64
    seed: int = 0
    iterations: int = 25

    def __post_init__(self) -> None:
        in_range = 2 <= self.levels <= MAX_LEVELS and 2 <= self.codebook_size <= MAX_CODEBOOK
        if not in_range or self.iterations < 1:
            raise ConfigInvalid(
                f"expected levels 2..{MAX_LEVELS}, codebook_size 2..{MAX_CODEBOOK}, iterations >= 1, got "
                f"{self.levels}, {self.codebook_size}, {self.iterations}"
            )

    def fit(self, vectors: Vectors) -> ItemTokenizer:
        """Learn codebooks on ``vectors`` float32 ``[n, d]`` and encode them.

        Raises:
            TokenizerError: no vectors, values that are not finite, or more items than codes.
        """
        vectors = _checked(vectors)
        rng = np.random.default_rng(self.seed)
        books = np.empty((self.levels, self.codebook_size, vectors.shape[1]), np.float32)
        left = vectors
        for level in range(self.levels):
            books[level] = kmeans(left, self.codebook_size, rng, self.iterations)
            left = left - books[level][quantise(left, books[level : level + 1])[:, 0]]
        before = len(np.unique(quantise(vectors, books), axis=0))
        codes, overflowed = unique_codes(vectors, books)
        used, perplexity = _use(codes, self.codebook_size)
        return ItemTokenizer(books, codes, TokenizerReport(len(vectors), before, overflowed, used, perplexity))


@dataclass(frozen=True, slots=True)
class ItemTokenizer:
    """Codebooks and the codes of a catalog.

    Attributes:
        codebooks: float32 ``[L, K, d]``.
        codes: uint16 ``[n, L]``, unique rows, in catalog order.
        report: how well the codes spread.
    """

    codebooks: Vectors
    codes: Codes
    report: TokenizerReport

    @property
    def levels(self) -> int:
        """L, codes per item."""
        return int(self.codebooks.shape[0])

    @property
    def codebook_size(self) -> int:
        """K, codes per level."""
        return int(self.codebooks.shape[1])

    def encode(self, vectors: Vectors, taken: Codes | None = None) -> Codes:
        """Codes uint16 ``[m, L]`` for items outside the catalog, distinct and not among ``taken``.

        Args:
            vectors: float32 ``[m, d]``; earlier rows choose first.
            taken: codes in use, the catalog's when nothing is named.

        Raises:
            TokenizerError: bad vectors, or fewer free codes than vectors.
        """
        vectors = _checked(vectors)
        if vectors.shape[1] != self.codebooks.shape[2]:
            width = self.codebooks.shape[2]
            raise TokenizerError(f"expected vectors of width {width} as fitted, got {vectors.shape[1]}")
        return free_codes(vectors, self.codebooks, self.codes if taken is None else taken)

    def save(self, path: Path) -> None:
        """Write codebooks, codes and report to one ``.npz`` file; equal tokenizers give equal bytes."""
        buffer = io.BytesIO()
        report = np.frombuffer(json.dumps(asdict(self.report), sort_keys=True).encode(), np.uint8)
        np.savez(buffer, format=np.uint16(_FORMAT), codebooks=self.codebooks, codes=self.codes, report=report)
        write_atomically(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> ItemTokenizer:
        """Read what :meth:`save` wrote.

        Raises:
            TokenizerError: the file is missing, damaged, of another format, or its codes are not unique.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                version = int(file["format"])
                books, codes, text = file["codebooks"], file["codes"], file["report"].tobytes().decode()
            fields = json.loads(text)
            report = TokenizerReport(
                int(fields["items"]),
                int(fields["distinct_before"]),
                int(fields["overflowed"]),
                tuple(int(count) for count in fields["used"]),
                tuple(float(value) for value in fields["perplexity"]),
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise TokenizerError(
                f"expected a tokenizer file at {path}, but: {error}; fit the tokenizer again"
            ) from error
        fault = _fault(version, books, codes)
        if fault:
            raise TokenizerError(f"the tokenizer file {path} {fault}; fit the tokenizer again")
        return cls(books, codes, report)


def _checked(vectors: Vectors) -> Vectors:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if vectors.ndim != 2 or not vectors.size:
        raise TokenizerError(f"expected vectors [n >= 1, d >= 1], got shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise TokenizerError("expected finite vectors, got NaN or infinity; check the item features")
    return vectors


def _use(codes: Codes, size: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    shares = [np.bincount(level, minlength=size) / len(codes) for level in codes.T]
    used = tuple(int((share > 0).sum()) for share in shares)
    return used, tuple(float(np.exp(-np.sum(s[s > 0] * np.log(s[s > 0])))) for s in shares)


def _fault(version: int, books: NDArray[np.generic], codes: NDArray[np.generic]) -> str | None:
    if version != _FORMAT:
        return f"has format {version}, expected {_FORMAT}"
    if books.ndim != 3 or books.dtype != np.float32 or not np.isfinite(books).all():
        return "has codebooks that are not finite float32 [L, K, d]"
    if codes.ndim != 2 or codes.dtype != np.uint16 or codes.shape[1] != books.shape[0]:
        return "has codes that are not uint16 [n, L]"
    if codes.size and int(codes.max()) >= books.shape[1]:
        return "has codes outside its codebooks"
    return None if len(np.unique(codes, axis=0)) == len(codes) else "gives two items the same codes"
