"""Where a record store keeps its rows: the seam between what is kept and how it survives.

`SqliteTables` is what devices use (`p2p.sqlite_tables`). `MemoryTables` forgets everything with the process; a
simulation of thousands of devices uses it, and can copy it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

from p2p.errors import StoreCorrupted
from p2p.record import HANDED_OVER


class Row(NamedTuple):
    """One author's statement: its version and digest, the bytes, and its place in the order of updates."""

    author: bytes
    version: int
    digest: bytes
    wire: bytes
    place: int


class Proof(NamedTuple):
    """Two statements of one version that convict their author."""

    author: bytes
    version: int
    first: bytes
    second: bytes


class Tables(Protocol):
    """Rows by author, proofs by author, and one number. Not thread-safe; the store holds a lock.

    Raises:
        StoreCorrupted: what was stored is damaged.
        StoreUnavailable: it cannot be reached now.
    """

    @property
    def can_fail(self) -> bool:
        """Whether a transaction may end without having changed anything."""
        ...

    def transaction(self) -> AbstractContextManager[object]:
        """Change all that is changed inside, or nothing."""
        ...

    def rows(self) -> Iterator[Row]:
        """Yield every row, the one updated longest ago first."""
        ...

    def proofs(self) -> Iterator[Proof]:
        """Yield every proof, the oldest first."""
        ...

    def put(self, row: Row) -> None:
        """Take a row in place of its author's."""
        ...

    def drop(self, author: bytes) -> None:
        """Forget an author's row."""
        ...

    def wire(self, author: bytes) -> bytes | None:
        """Return the bytes of an author's row."""
        ...

    def wires(self) -> list[bytes]:
        """Return the bytes of all records that are no hand-overs, the one updated longest ago first."""
        ...

    def wires_with(self, keys: Collection[bytes]) -> list[bytes]:
        """Return those of `wires` that contain any of the keys anywhere."""
        ...

    def put_proof(self, proof: Proof) -> None:
        """Take a proof."""
        ...

    def drop_proof(self, author: bytes) -> None:
        """Forget a proof."""
        ...

    def proof(self, author: bytes) -> tuple[bytes, bytes] | None:
        """Return the two statements that convict an author."""
        ...

    def own_version(self) -> int:
        """Return the number kept by `set_own_version`, 0 before."""
        ...

    def set_own_version(self, version: int) -> None:
        """Keep a number."""
        ...

    def corrupted(self, why: object) -> StoreCorrupted:
        """Return the error that says where the damage is and what to do."""
        ...

    def close(self) -> None:
        """Free what is held; closing twice is harmless."""
        ...


class MemoryTables:
    """Tables that nothing outlives."""

    can_fail = False

    def __init__(self) -> None:
        self._rows: dict[bytes, Row] = {}
        self._proofs: dict[bytes, Proof] = {}
        self._own_version = 0

    def transaction(self) -> AbstractContextManager[object]:
        """See `Tables`; nothing here can fail half-way."""
        return nullcontext()

    def rows(self) -> Iterator[Row]:
        """See `Tables`."""
        return iter(self._rows.values())

    def proofs(self) -> Iterator[Proof]:
        """See `Tables`."""
        return iter(self._proofs.values())

    def put(self, row: Row) -> None:
        """See `Tables`."""
        self._rows.pop(row.author, None)
        self._rows[row.author] = row

    def drop(self, author: bytes) -> None:
        """See `Tables`."""
        self._rows.pop(author, None)

    def wire(self, author: bytes) -> bytes | None:
        """See `Tables`."""
        row = self._rows.get(author)
        return None if row is None else row.wire

    def wires(self) -> list[bytes]:
        """See `Tables`."""
        return [row.wire for row in self._rows.values() if row.version < HANDED_OVER]

    def wires_with(self, keys: Collection[bytes]) -> list[bytes]:
        """See `Tables`."""
        return [wire for wire in self.wires() if any(key in wire for key in keys)]

    def put_proof(self, proof: Proof) -> None:
        """See `Tables`."""
        self._proofs[proof.author] = proof

    def drop_proof(self, author: bytes) -> None:
        """See `Tables`."""
        self._proofs.pop(author, None)

    def proof(self, author: bytes) -> tuple[bytes, bytes] | None:
        """See `Tables`."""
        found = self._proofs.get(author)
        return None if found is None else (found.first, found.second)

    def own_version(self) -> int:
        """See `Tables`."""
        return self._own_version

    def set_own_version(self, version: int) -> None:
        """See `Tables`."""
        self._own_version = version

    def corrupted(self, why: object) -> StoreCorrupted:
        """See `Tables`."""
        return StoreCorrupted(f"the records in memory are damaged ({why}); start again")

    def close(self) -> None:
        """See `Tables`; nothing to free."""
