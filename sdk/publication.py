"""What has been published, what would be now, and what is held back and why: values for the person to look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from p2p import ItemEdge, PeerId, TrustEdge
from sdk.sharing import SharingPolicy


class Why(Enum):
    """Why something of the history, or an opinion of a peer, is not told."""

    PRIVATE = "the policy is private"
    ACTION = "nothing that the policy counts was done with it"
    TAKEN_BACK = "disliked or skipped since"
    DENIED = "on a list of what is never told"
    CATEGORY = "of no category that the policy tells"
    UNKNOWN_CATEGORY = "the model's catalog does not hold it, so its categories are unknown"
    NO_ROOM = "the record is full of others"
    NEXT_EPOCH = "it waits: enough is new in this epoch"
    NOT_ASKED = "not popular enough to hide among made-up answers"
    LATER = "it is asked about on a later day"
    ANSWER = "the random answer leaves it out"
    NO_VOUCHES = "the policy tells no vouches"
    BLOCK = "whom the person blocked is never told"


@dataclass(frozen=True, slots=True)
class SharedItem:
    """One item edge of a record.

    Attributes:
        item: its id; None if this device no longer knows which item it was.
        edge: as peers see it.
        made_up: whether the person does not like it, or no longer: a random answer, or an opinion since taken back.
    """

    item: str | None
    edge: ItemEdge
    made_up: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """The content of a record.

    Attributes:
        items: item edges.
        vouches: trust edges.
        version: of the record; 0 for what is not published.
        day: of its publication, days since 1970; 0 for what is not published.
    """

    items: tuple[SharedItem, ...] = ()
    vouches: tuple[TrustEdge, ...] = ()
    version: int = 0
    day: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is told."""
        return not self.items and not self.vouches

    @property
    def edges(self) -> tuple[tuple[ItemEdge, ...], tuple[TrustEdge, ...]]:
        """Item and trust edges, as they stand in a record."""
        return tuple(item.edge for item in self.items), self.vouches

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "version": self.version,
            "day": self.day,
            "items": [
                {
                    "item": shared.item,
                    "key": shared.edge.key.hex(),
                    "level": shared.edge.level,
                    "day": shared.edge.day,
                    "made_up": shared.made_up,
                }
                for shared in self.items
            ],
            "vouches": [{"peer": edge.peer.hex(), "level": edge.level} for edge in self.vouches],
        }


@dataclass(frozen=True, slots=True)
class Withheld:
    """An item or a peer that is not told, and why; exactly one of both names is given."""

    why: Why
    item: str | None = None
    peer: PeerId | None = None

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        named = {"item": self.item} if self.peer is None else {"peer": self.peer.hex()}
        return named | {"why": self.why.name.lower(), "text": self.why.value}


@dataclass(frozen=True, slots=True)
class Edition:
    """One record that was published: version, day (since 1970), and how many edges it had."""

    version: int
    day: int
    items: int
    vouches: int


@dataclass(frozen=True, slots=True)
class Publication:
    """What leaves the device.

    Attributes:
        policy: that holds now.
        community: where; empty for the one without a name.
        peer: the key under which it is published there.
        published: the latest record, which peers hold.
        would_publish: what `publish` would make of it now.
        withheld: what of history and opinions is in neither.
        editions: records published so far, the latest first.
        ever_told: ids (or keys in hex) of items in any of them and in `published` no longer; peers may have kept them.
        epsilon_spent: the most that the answers about one item have cost so far, summed up; 0 without any.
    """

    policy: SharingPolicy
    community: str
    peer: PeerId
    published: Shared
    would_publish: Shared
    withheld: tuple[Withheld, ...]
    editions: tuple[Edition, ...]
    ever_told: tuple[str, ...]
    epsilon_spent: float

    @property
    def pending(self) -> bool:
        """Whether `publish` would change anything."""
        return self.published.edges != self.would_publish.edges

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "policy": self.policy.as_json(),
            "community": self.community,
            "peer": self.peer.hex(),
            "pending": self.pending,
            "published": self.published.as_json(),
            "would_publish": self.would_publish.as_json(),
            "withheld": [held.as_json() for held in self.withheld],
            "editions": [
                {"version": e.version, "day": e.day, "items": e.items, "vouches": e.vouches} for e in self.editions
            ],
            "ever_told": list(self.ever_told),
            "epsilon_spent": self.epsilon_spent,
        }
