"""A prepared folder as arrays: users, items, and every user's events in time order.

This is what splits, tokenizers, baselines and training read. Knows nothing of files other than prepared
folders, and nothing of which events are for training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from server_training.data import columns as c
from server_training.data.prepare import check_prepared
from server_training.data.sources import open_source
from server_training.errors import DataInvalid


@dataclass(frozen=True, slots=True)
class SequenceData:
    """Everyone's events, user after user (CSR): user ``u`` owns events ``offsets[u]:offsets[u + 1]``.

    Events of a user are in time order; events of one second keep the order of the prepared file, which is the
    order of the source.

    Attributes:
        users: user ids, sorted.
        item_ids: catalog, sorted; an item's index is its place here.
        titles: per item, may be empty.
        texts: per item, may be empty.
        attributes: per item.
        offsets: int64 ``[U + 1]``.
        items: int32 ``[N]``, item index per event.
        actions: int8 ``[N]``, values of ``device_runtime.Action``.
        timestamps: int64 ``[N]``, unix seconds.
        weights: float32 ``[N]``.
        sha256: hash of users, items and events: equal for equal data, whatever file they came in.
    """

    users: tuple[str, ...]
    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    texts: tuple[str, ...]
    attributes: tuple[tuple[str, ...], ...]
    offsets: NDArray[np.int64]
    items: NDArray[np.int32]
    actions: NDArray[np.int8]
    timestamps: NDArray[np.int64]
    weights: NDArray[np.float32]
    sha256: str

    @classmethod
    def load(cls, folder: Path) -> SequenceData:
        """Load a folder that :func:`~server_training.data.prepare.prepare` wrote.

        Raises:
            DataUnavailable: the folder is missing or not whole.
            DataInvalid: its tables break the contract.
        """
        check_prepared(folder)
        source = open_source(folder / c.INTERACTIONS_FILE)
        catalog = source.items(pl.Series(c.ITEM, [], dtype=pl.String))
        # Piece by piece: text takes many times the memory of what is kept of it.
        pieces = [_Piece.of(events, catalog[c.ITEM]) for events in source.pieces()]
        if source.problems:
            raise DataInvalid(source.problems)
        return cls._joined(pieces, catalog)

    @classmethod
    def from_frames(cls, interactions: pl.DataFrame, items: pl.DataFrame) -> SequenceData:
        """Take tables in the contract's columns; events of one user and second keep their row order."""
        catalog = items.sort(c.ITEM)
        events = interactions.sort([c.USER, c.TIMESTAMP], maintain_order=True)
        return cls._joined([_Piece.of(events, catalog[c.ITEM])], catalog)

    @classmethod
    def _joined(cls, pieces: Sequence[_Piece], catalog: pl.DataFrame) -> SequenceData:
        runs = pl.concat([piece.users for piece in pieces])
        # A user whose events lie in two pieces is one user.
        counts = runs.group_by(c.USER, maintain_order=True).agg(pl.col("len").sum())
        offsets = np.concatenate([[0], np.cumsum(counts["len"].to_numpy(), dtype=np.int64)])
        items, actions, timestamps, weights = (
            np.concatenate(column) for column in zip(*(piece.arrays for piece in pieces), strict=True)
        )
        arrays = (offsets.astype(np.int64), items, actions, timestamps, weights)
        users, item_ids = tuple(counts[c.USER]), tuple(catalog[c.ITEM])
        for array in arrays:
            array.setflags(write=False)
        return cls(
            users,
            item_ids,
            tuple(catalog[c.TITLE]),
            tuple(catalog[c.TEXT]),
            tuple(tuple(names) for names in catalog[c.ATTRIBUTES].to_list()),
            *arrays,
            sha256=_fingerprint(users, item_ids, arrays),
        )

    @property
    def n_users(self) -> int:
        """How many users have at least one event."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """How many items the catalog holds, interacted with or not."""
        return len(self.item_ids)

    def events_of(self, user: int) -> slice:
        """The place of a user's events in the event arrays."""
        return slice(int(self.offsets[user]), int(self.offsets[user + 1]))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some events in the order of users, as numbers.

    Attributes:
        users: user and count, in order.
        arrays: item index, action, timestamp, weight.
    """

    users: pl.DataFrame
    arrays: tuple[NDArray[np.int32], NDArray[np.int8], NDArray[np.int64], NDArray[np.float32]]

    @classmethod
    def of(cls, events: pl.DataFrame, item_ids: pl.Series) -> _Piece:
        index = events[c.ITEM].cast(pl.Enum(item_ids)).to_physical()
        codes = events[c.ACTION].replace_strict(c.ACTION_CODES, return_dtype=pl.Int8)
        arrays = (
            index.to_numpy().astype(np.int32),
            codes.to_numpy().astype(np.int8),
            events[c.TIMESTAMP].to_numpy().astype(np.int64),
            events[c.WEIGHT].to_numpy().astype(np.float32),
        )
        return cls(events.group_by(c.USER, maintain_order=True).len(), arrays)


def _fingerprint(users: tuple[str, ...], item_ids: tuple[str, ...], arrays: tuple[NDArray[np.generic], ...]) -> str:
    # Ids hold no control characters, so a line end cannot be part of one.
    digest = hashlib.sha256(b"meritrec/sequence-data/1\n")
    for names in (users, item_ids):
        digest.update("\n".join(names).encode() + b"\n\n")
    for array in arrays:
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
