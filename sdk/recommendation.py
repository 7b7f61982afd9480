"""What the SDK answers with: an item, its score, and the reasons a person can read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Source = Literal["blend", "model", "peers"]


class ReasonKind(Enum):
    """Where a reason comes from."""

    HISTORY = "history"
    PEERS = "peers"
    SEEN = "seen"
    BLOCKED = "blocked"
    NONE = "none"


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
    """

    item: str
    title: str
    score: float
    reasons: tuple[Reason, ...]
    model_rank: int | None = None
    peer_rank: int | None = None
