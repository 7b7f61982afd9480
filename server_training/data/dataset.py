"""A prepared folder as arrays: users, items, and every user's events in time order.

This is what splits, tokenizers, baselines and training read. Knows nothing of files other than prepared
folders, and nothing of which events are for training.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from server_training.data import columns as c
from server_training.data.prepare import check_prepared
from server_training.data.sources import read_source


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
        tables = read_source(folder / c.INTERACTIONS_FILE)
        return cls.from_frames(tables.interactions, tables.items)

    @classmethod
    def from_frames(cls, interactions: pl.DataFrame, items: pl.DataFrame) -> SequenceData:
        """Take tables in the contract's columns; events of one user and second keep their row order."""
        events = interactions.sort([c.USER, c.TIMESTAMP], maintain_order=True)
        catalog = items.sort(c.ITEM)
        counts = events.group_by(c.USER, maintain_order=True).len()
        offsets = np.concatenate([[0], np.cumsum(counts["len"].to_numpy(), dtype=np.int64)])
        index = events[c.ITEM].cast(pl.Enum(catalog[c.ITEM])).to_physical()
        codes = events[c.ACTION].replace_strict(c.ACTION_CODES, return_dtype=pl.Int8)
        arrays = (
            offsets.astype(np.int64),
            index.to_numpy().astype(np.int32),
            codes.to_numpy().astype(np.int8),
            events[c.TIMESTAMP].to_numpy().astype(np.int64),
            events[c.WEIGHT].to_numpy().astype(np.float32),
        )
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


def _fingerprint(users: tuple[str, ...], item_ids: tuple[str, ...], arrays: tuple[NDArray[np.generic], ...]) -> str:
    # Ids hold no control characters, so a line end cannot be part of one.
    digest = hashlib.sha256(b"meritrec/sequence-data/1\n")
    for names in (users, item_ids):
        digest.update("\n".join(names).encode() + b"\n\n")
    for array in arrays:
        digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
