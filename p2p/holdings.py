"""What a device holds, as sets that can be reconciled: an id for each entry, and a short name for each author.

An id stands for (author, version, digest), so two stores with equal ids hold equal records. An interest is the set of
authors whose records a device wants; it is told to peers as 4-byte names, so a false match costs a peer 78 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from p2p.identity import PeerId
from p2p.messages import INTEREST_DIGEST_BYTES, SHORT_NAME_BYTES
from p2p.reconcile import Ids
from p2p.store import Entry

_MOST_CHOSEN = 32
ShortNames = NDArray[np.uint32]


@lru_cache(maxsize=1024)  # many devices of one process hold the same records
def entry_id(entry: Entry) -> int:
    """Return the 64-bit id of an entry."""
    author, version, digest = entry
    content = author + version.to_bytes(8, "big") + digest
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, person=b"meritrec/entry").digest(), "little")


@lru_cache(maxsize=1024)
def short_name(author: PeerId) -> int:
    """Return the 32-bit name of an author."""
    digest = hashlib.blake2b(author, digest_size=SHORT_NAME_BYTES, person=b"meritrec/author").digest()
    return int.from_bytes(digest, "little")


def interest_of(authors: Collection[PeerId]) -> bytes:
    """Return an interest as sorted little-endian short names, each once."""
    names = np.fromiter((short_name(author) for author in authors), "<u4", len(authors))
    return np.unique(names).tobytes()


def names_in(interest: bytes) -> ShortNames:
    """Read an interest.

    Raises:
        ValueError: the names are not whole, sorted and unique.
    """
    if len(interest) % SHORT_NAME_BYTES:
        raise ValueError("an interest is made of 4-byte names")
    names = np.frombuffer(interest, "<u4").astype(np.uint32)
    if len(names) > 1 and not np.all(names[1:] > names[:-1]):
        raise ValueError("the names of an interest are sorted, without repeats")
    return names


class Interest(NamedTuple):
    """Whose records a device wants.

    Attributes:
        told: as peers are told; None stands for everyone.
        names: of the authors; None for everyone.
        digest: 8 bytes that name it; empty for everyone.
    """

    told: bytes | None
    names: ShortNames | None
    digest: bytes


EVERYONE = Interest(None, None, b"")


def read_interest(told: bytes | None) -> Interest:
    """Read what a device told.

    Raises:
        ValueError: the names are not whole, sorted and unique.
    """
    return EVERYONE if told is None else Interest(told, names_in(told), _digest(told))


def both(asker: Interest, answerer: Interest) -> tuple[bytes, ShortNames | None]:
    """Return digest and names of what two devices both want, which is all that they can bring each other."""
    digest = _digest(asker.digest + b"/" + answerer.digest) if asker.digest or answerer.digest else b""
    if asker.names is None or answerer.names is None:
        return digest, answerer.names if asker.names is None else asker.names
    return digest, asker.names[_are_in(answerer.names, asker.names)]


def _are_in(interest: ShortNames, names: ShortNames) -> NDArray[np.bool_]:
    """Return for each of some names whether it is in an interest, which is sorted: a tenth of what `np.isin` takes."""
    if not len(interest):
        return np.zeros(len(names), np.bool_)
    place = np.searchsorted(interest, names)
    found: NDArray[np.bool_] = interest[np.minimum(place, len(interest) - 1)] == names
    return found


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=INTEREST_DIGEST_BYTES, person=b"meritrec/wanted").digest()


class Selection:
    """The entries that a comparison is about: their ids, and themselves where they are asked for.

    Args:
        entries: of a store.
        ids: theirs.
        chosen: places of those that the comparison is about; None for all.
    """

    def __init__(self, entries: Sequence[Entry], ids: Ids, chosen: NDArray[np.intp] | None = None) -> None:
        self._entries = entries
        self._chosen = chosen
        self.ids = ids if chosen is None else ids[chosen]

    def __len__(self) -> int:
        return len(self.ids)

    def named(self, ids: Ids) -> list[Entry]:
        """Return the entries of some ids; ids that are not here are left out."""
        return self.at(np.flatnonzero(np.isin(self.ids, ids))) if len(ids) else []

    def at(self, places: NDArray[np.intp]) -> list[Entry]:
        """Return entries by their place in `ids`."""
        places = places if self._chosen is None else self._chosen[places]
        return [self._entries[i] for i in places]


class Holdings:
    """The entries of a store, kept ready to compare: each is hashed once, and stands in one row of the arrays."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._row: dict[PeerId, int] = {}
        self._entries: list[Entry] = []
        self._ids, self._names = np.empty(16, np.uint64), np.empty(16, np.uint32)
        self._chosen: dict[int, tuple[ShortNames, NDArray[np.intp]]] = {}  # rows of interests, as long as rows stay
        for entry in entries:
            self.put(entry)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy needs: not what is found again."""
        return {**self.__dict__, "_chosen": {}}

    def put(self, entry: Entry) -> None:
        """Take an author's entry in place of the one before."""
        row = self._row.setdefault(entry[0], len(self._row))
        if row == len(self._entries):
            if row == len(self._ids):
                self._ids, self._names = np.resize(self._ids, 2 * row), np.resize(self._names, 2 * row)
            self._chosen.clear()
            self._entries.append(entry)
            self._names[row] = short_name(entry[0])
        self._entries[row], self._ids[row] = entry, entry_id(entry)

    def drop(self, author: PeerId) -> None:
        """Forget an author; the last row takes the place of its row."""
        row = self._row.pop(author, None)
        if row is None:
            return
        self._chosen.clear()
        last = self._entries.pop()
        if row < len(self._entries):
            end = len(self._entries)
            self._entries[row], self._ids[row], self._names[row] = last, self._ids[end], self._names[end]
            self._row[last[0]] = row

    def select(self, interest: ShortNames | None = None) -> Selection:
        """Return what is held of some authors; of everyone, when no interest is given. Valid until the next change."""
        ids, names = self._ids[: len(self._entries)], self._names[: len(self._entries)]
        if interest is None:
            return Selection(self._entries, ids)
        known = self._chosen.get(id(interest))  # the array is kept, so no other one can have its id
        if known is None:
            if len(self._chosen) >= _MOST_CHOSEN:
                self._chosen.clear()
            self._chosen[id(interest)] = known = (interest, np.flatnonzero(_are_in(interest, names)))
        return Selection(self._entries, ids, known[1])
