"""Semantic IDs: an item becomes L codes that tell where its vector lies.

A quantiser learns codebooks (see ``quantisers`` for the ways), then ``code_places`` makes the codes unique: the last
code of an item settles what the quantiser left open. Like items share codes, and a new item takes a free place near
what it resembles, without retraining. Knows nothing of text or models.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from device_runtime.catalog import MAX_CODEBOOK, MAX_LEVELS
from server_training.errors import ConfigInvalid, TokenizerError
from server_training.files import write_atomically
from server_training.items.code_places import Codes, free_codes, quantise, unique_codes
from server_training.items.layers import Layers, Vectors
from server_training.items.quantisers import Effort, Quantiser, learner

_FORMAT = 2


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
        unexplained: squared error of the vectors rebuilt from the codes over their variance.
    """

    items: int
    distinct_before: int
    overflowed: int
    used: tuple[int, ...]
    perplexity: tuple[float, ...]
    unexplained: float

    @property
    def collision_rate(self) -> float:
        """Share of items that had no code of their own as quantised: 1 - distinct / items."""
        return 1.0 - self.distinct_before / self.items


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Learns codebooks and gives every item its codes.

    Attributes:
        quantiser: the way codebooks are learnt.
        levels: L, codes per item, 2 to ``MAX_LEVELS`` of the device's catalog.
        codebook_size: K, codes per level, at most; 2 to ``MAX_CODEBOOK`` of the device's catalog.
        seed: equal seeds and vectors give equal codes.
        effort: how long to learn.
    """

    quantiser: Quantiser = "residual-kmeans"
    levels: int = 3
    codebook_size: int = 64
    seed: int = 0
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self) -> None:
        if self.quantiser not in get_args(Quantiser):
            raise ConfigInvalid(f"quantiser must be one of {', '.join(get_args(Quantiser))}, got {self.quantiser!r}")
        in_range = 2 <= self.levels <= MAX_LEVELS and 2 <= self.codebook_size <= MAX_CODEBOOK
        if not in_range or min(self.effort.iterations, self.effort.steps) < 1:
            raise ConfigInvalid(
                f"expected levels 2..{MAX_LEVELS}, codebook_size 2..{MAX_CODEBOOK}, iterations and steps >= 1, got "
                f"{self.levels}, {self.codebook_size}, {self.effort}"
            )

    def fit(self, vectors: Vectors) -> ItemTokenizer:
        """Learn codebooks on ``vectors`` float32 ``[n, m]`` and encode them.

        Raises:
            TokenizerError: no vectors, values that are not finite, or more items than codes.
        """
        vectors = _checked(vectors)
        learnt = learner(self.quantiser)(vectors, self.levels, self.codebook_size, self.seed, self.effort)
        latent = learnt.encoder(vectors)
        wanted = quantise(latent, learnt.codebooks) if learnt.assigned is None else learnt.assigned
        codes, overflowed = unique_codes(latent, learnt.codebooks, wanted)
        used, perplexity = _use(codes, learnt.codebooks.shape[1])
        rebuilt = learnt.decoder(_summed(codes, learnt.codebooks))
        report = TokenizerReport(
            len(vectors),
            len(np.unique(wanted, axis=0)),
            overflowed,
            used,
            perplexity,
            _share_unexplained(vectors, rebuilt),
        )
        return ItemTokenizer(self.quantiser, learnt.codebooks, learnt.encoder, learnt.decoder, codes, report)


@dataclass(frozen=True, slots=True)
class ItemTokenizer:
    """Codebooks and the codes of a catalog.

    Attributes:
        quantiser: the way they were learnt.
        codebooks: float32 ``[L, K, d]``.
        encoder: vectors to the space of the codebooks.
        decoder: that space back to vectors.
        codes: uint16 ``[n, L]``, unique rows, in catalog order.
        report: how well the codes spread.
    """

    quantiser: Quantiser
    codebooks: Vectors
    encoder: Layers
    decoder: Layers
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

    @property
    def width(self) -> int:
        """Numbers per vector."""
        return self.encoder.widths[0] if self.encoder.widths else int(self.codebooks.shape[2])

    def encode(self, vectors: Vectors, taken: Codes | None = None) -> Codes:
        """Codes uint16 ``[k, L]`` for items outside the catalog, distinct and not among ``taken``.

        Args:
            vectors: float32 ``[k, m]``; earlier rows choose first.
            taken: codes in use, the catalog's when nothing is named.

        Raises:
            TokenizerError: bad vectors, or fewer free codes than vectors.
        """
        vectors = _checked(vectors)
        if vectors.shape[1] != self.width:
            raise TokenizerError(f"expected vectors of width {self.width} as fitted, got {vectors.shape[1]}")
        return free_codes(self.encoder(vectors), self.codebooks, self.codes if taken is None else taken)

    def decode(self, codes: Codes) -> Vectors:
        """Vectors float32 ``[k, m]`` that codes uint16 ``[k, L]`` stand for.

        Raises:
            TokenizerError: codes of another shape, or outside the codebooks.
        """
        if codes.ndim != 2 or codes.shape[1] != self.levels or (codes.size and codes.max() >= self.codebook_size):
            raise TokenizerError(f"expected codes [k, {self.levels}] below {self.codebook_size}, got {codes.shape}")
        return self.decoder(_summed(codes, self.codebooks))

    def save(self, path: Path) -> None:
        """Write codebooks, codes and report to one ``.npz`` file; equal tokenizers give equal bytes."""
        buffer = io.BytesIO()
        report = np.frombuffer(json.dumps(asdict(self.report), sort_keys=True).encode(), np.uint8)
        arrays: dict[str, NDArray[np.generic]] = {
            "format": np.asarray(_FORMAT, np.uint16),
            "quantiser": np.frombuffer(self.quantiser.encode(), np.uint8),
            "codebooks": self.codebooks,
            "codes": self.codes,
            "report": report,
            **self.encoder.arrays("encoder"),
            **self.decoder.arrays("decoder"),
        }
        np.savez(buffer, allow_pickle=False, **arrays)
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
                if version != _FORMAT:
                    raise ValueError(f"its format is {version}, not {_FORMAT}")
                books, codes, text = file["codebooks"], file["codes"], file["report"].tobytes().decode()
                encoder, decoder = (Layers.from_arrays(name, file) for name in ("encoder", "decoder"))
                quantiser = file["quantiser"].tobytes().decode()
            fields = json.loads(text)
            report = TokenizerReport(
                int(fields["items"]),
                int(fields["distinct_before"]),
                int(fields["overflowed"]),
                tuple(int(count) for count in fields["used"]),
                tuple(float(value) for value in fields["perplexity"]),
                float(fields["unexplained"]),
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise TokenizerError(
                f"expected a tokenizer file at {path}, but: {error}; fit the tokenizer again"
            ) from error
        fault = _fault(quantiser, books, codes) or _misfit(books.shape[2], encoder, decoder)
        if fault:
            raise TokenizerError(f"the tokenizer file {path} {fault}; fit the tokenizer again")
        return cls(quantiser, books, encoder, decoder, codes, report)


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


def _summed(codes: Codes, books: Vectors) -> Vectors:
    total: Vectors = books[np.arange(len(books)), codes.astype(np.int64)].sum(axis=1)
    return total


def _share_unexplained(vectors: Vectors, rebuilt: Vectors) -> float:
    """Squared error over variance: 0 when every vector is rebuilt, 1 when the mean would do as well."""
    spread = float(np.square(vectors - vectors.mean(axis=0)).sum())
    return float(np.square(vectors - rebuilt).sum()) / spread if spread > 0 else 0.0


def _misfit(latent: int, encoder: Layers, decoder: Layers) -> str | None:
    """Say whether vectors in, codebooks and vectors out have widths that do not fit."""
    inside, outside = encoder.widths, decoder.widths
    fits = (inside is None or inside[1] == latent) and (outside is None or outside[0] == latent)
    ends = (inside[0] if inside else latent) == (outside[1] if outside else latent)
    return None if fits and ends else "has layers and codebooks that do not fit together"


def _fault(quantiser: str, books: NDArray[np.generic], codes: NDArray[np.generic]) -> str | None:
    if quantiser not in get_args(Quantiser):
        return f"names the quantiser {quantiser!r}"
    if books.ndim != 3 or books.dtype != np.float32 or not np.isfinite(books).all():
        return "has codebooks that are not finite float32 [L, K, d]"
    if codes.ndim != 2 or codes.dtype != np.uint16 or codes.shape[1] != books.shape[0]:
        return "has codes that are not uint16 [n, L]"
    if codes.size and int(codes.max()) >= books.shape[1]:
        return "has codes outside its codebooks"
    return None if len(np.unique(codes, axis=0)) == len(codes) else "gives two items the same codes"
