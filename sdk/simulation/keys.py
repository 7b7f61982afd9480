"""Numbers of people and items, and the keys that stand for them in records."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from p2p import AdjacencyRecord, Identity, PeerId, Statement, item_key, open_statement
from p2p.messages import Announce, decode_announce
from sdk.social import stated_edges
from trust import AuthorEdges

NAMESPACE = "simulation"
_REMEMBERED = 400_000
_LATELY = 10_000  # announcements that are on their way


class Keys:
    """The keys of one simulation; the same seed gives the same.

    Args:
        seed: of the scenario.
        authors: how many identities there are, honest and not.
        items: how many items there are, spam included.
    """

    def __init__(self, seed: int, authors: int, items: int) -> None:
        self._seed = seed
        self.peers: list[PeerId] = [self.identity(number).peer_id for number in range(authors)]
        self.number: dict[bytes, int] = {peer: number for number, peer in enumerate(self.peers)}
        self.items: list[bytes] = [item_key(NAMESPACE, str(item)) for item in range(items)]
        self.item_number: dict[bytes, int] = {key: item for item, key in enumerate(self.items)}

    def identity(self, number: int) -> Identity:
        """Return what signs for an author."""
        content = f"meritrec/simulation/{self._seed}/{number}"
        return Identity.from_seed(hashlib.sha256(content.encode()).digest())


@lru_cache(maxsize=_REMEMBERED)
def remembered(data: bytes) -> Statement:
    """Read and verify a statement, once for all devices of this process: each still checks all else by itself.

    Raises:
        RecordInvalid: with the reason.
    """
    return open_statement(data)


@lru_cache(maxsize=_LATELY)
def remembered_announcement(data: bytes) -> Announce:
    """Read an announcement, once for all devices of this process to which it goes.

    Raises:
        RecordInvalid: it is malformed.
    """
    return decode_announce(data)


@lru_cache(maxsize=_REMEMBERED)
def remembered_edges(record: AdjacencyRecord) -> AuthorEdges:
    """Return what a record says as edges, worked out once for all devices of this process."""
    return stated_edges(record)
