"""What the SDK answers with: an item, its score, and the reasons a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

Source = Literal["blend", "model", "peers"]


class ReasonKind(Enum):
    """Where a reason comes from."""

    HISTORY = "history"
    PEERS = "peers"
    SIMILAR = "similar"
    EXPLORED = "explored"
    SEEN = "seen"
    BLOCKED = "blocked"
    NONE = "none"


class FilterKind(Enum):
    """Why an item was kept out of a ranking."""

    SEEN = "seen"
    BLOCKED = "blocked"
    CATEGORY = "category"
    UNAVAILABLE = "unavailable"
    WITHDRAWN = "withdrawn"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason in one sentence.

    Attributes:
        kind: where it comes from.
        text: the sentence, ready to show.
        items: ids of items of the person's own history that it refers to.
        peers: public keys of the peers that it refers to, the strongest first.
    """

    kind: ReasonKind
    text: str
    items: tuple[str, ...] = ()
    peers: tuple[bytes, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types; keys are hex."""
        return {
            "kind": self.kind.value,
            "text": self.text,
            "items": list(self.items),
            "peers": [peer.hex() for peer in self.peers],
        }


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One item of a ranking.

    Attributes:
        item: id in the model's catalog.
        title: title from the catalog, or the id where it has none.
        score: the higher, the better; comparable within one answer only.
        reasons: never empty.
        model_rank: 1-based rank in the model's own list, None when the model did not list it.
        peer_rank: 1-based rank in the trust walk's own list, None when no trusted peer lists it.
        model_share: how much of the score came from the model, 0 to 1; None where nothing was blended.
    """

    item: str
    title: str
    score: float
    reasons: tuple[Reason, ...]
    model_rank: int | None = None
    peer_rank: int | None = None
    model_share: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {
            "item": self.item,
            "title": self.title,
            "score": self.score,
            "model_rank": self.model_rank,
            "peer_rank": self.peer_rank,
            "model_share": self.model_share,
            "reasons": [reason.as_json() for reason in self.reasons],
        }


@dataclass(frozen=True, slots=True)
class Filtered:
    """An item that would have been shown, and why it was not.

    Attributes:
        item: its id.
        title: from the catalog, or the id where there is none.
        kind: why it was kept out.
        text: the same in one sentence.
        peers: for items of untrusted peers, whose they are.
    """

    item: str
    title: str
    kind: FilterKind
    text: str
    peers: tuple[bytes, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types; keys are hex."""
        return {
            "item": self.item,
            "title": self.title,
            "kind": self.kind.value,
            "text": self.text,
            "peers": [peer.hex() for peer in self.peers],
        }
