"""Who plays in the demo: real users as regulars and newcomer, an attacker who copies a profile, and the spam.

Everything is derived from the data and from nothing else: the same data gives the same cast.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_runtime import Action
from server_training.data.dataset import SequenceData

N_REGULARS = 6
N_SYBILS = 30
N_SPAM = 3
NEWCOMER_EVENTS = 4
_VOUCHES = 2  # each regular vouches for the regulars nearest in taste
_NAMES = ("Ada", "Ben", "Cleo", "Dev", "Eva", "Finn")


@dataclass(frozen=True, slots=True)
class Part:
    """One honest device: a real user's history.

    Attributes:
        name: shown in the report.
        role: regular or newcomer.
        user: index of the user in the data.
        events: (item id, action, Unix seconds) to replay.
        vouches: (name, level 1..3) of the devices this one vouches for.
        asked_at: when it asks for recommendations: the time of the user's next real event, or of the last.
    """

    name: str
    role: str
    user: int
    events: tuple[tuple[str, str, int], ...]
    vouches: tuple[tuple[str, int], ...]
    asked_at: int


@dataclass(frozen=True, slots=True)
class Cast:
    """The whole cast.

    Attributes:
        parts: six regulars, then the newcomer.
        fooled: name of the regular who vouches for the attacker: the newcomer's only friend, the worst case.
        bait: item ids that the attacker and its Sybils list to look like everyone else.
        spam: item ids that they push: catalog items that nobody in the cast knows and hardly anyone else does.
    """

    parts: tuple[Part, ...]
    fooled: str
    bait: tuple[str, ...]
    spam: tuple[str, ...]

    @property
    def users(self) -> list[int]:
        """Users of the data who are in the cast; training leaves them out."""
        return [part.user for part in self.parts]


def choose_cast(data: SequenceData) -> Cast:
    """Pick a circle of users with like tastes.

    Raises:
        ValueError: the data has too few users with at least 20 liked items each.
    """
    likes = _likes(data)
    counts = likes.sum(axis=1)
    able = np.flatnonzero((counts >= 20) & (counts <= 200))
    if len(able) < N_REGULARS + 1:
        raise ValueError(
            f"the demo needs {N_REGULARS + 1} users with 20 to 200 liked items, the data has {len(able)}; "
            "choose a larger data set"
        )
    unit = likes[able] / np.sqrt(counts[able])[:, None]
    taste = unit @ unit.T  # cosine of liked items
    np.fill_diagonal(taste, -1.0)
    centre = int(np.sort(taste, axis=1)[:, -N_REGULARS:].mean(axis=1).argmax())
    circle = [centre, *np.argsort(-taste[centre], kind="stable")[:N_REGULARS].tolist()]
    newcomer = circle.pop()  # the least like the centre: the harder case
    friend = int(np.argmax(taste[newcomer][circle]))
    parts = [
        Part(
            _NAMES[place],
            "regular",
            int(able[member]),
            _events(data, int(able[member])),
            _vouches(taste[np.ix_(circle, circle)], place),
            _asked_at(data, int(able[member]), None),
        )
        for place, member in enumerate(circle)
    ]
    parts.append(
        Part(
            "Nia",
            "newcomer",
            int(able[newcomer]),
            _events(data, int(able[newcomer]), NEWCOMER_EVENTS),
            ((_NAMES[friend], 3),),
            _asked_at(data, int(able[newcomer]), NEWCOMER_EVENTS),
        )
    )
    users = [part.user for part in parts]
    return Cast(tuple(parts), _NAMES[friend], _bait(data, likes, users), _spam(data, users))


def _likes(data: SequenceData) -> NDArray[np.float64]:
    likes = np.zeros((data.n_users, data.n_items))
    owner = np.repeat(np.arange(data.n_users), np.diff(data.offsets))
    liked = data.actions == Action.LIKE
    likes[owner[liked], data.items[liked]] = 1.0
    return likes


def _events(data: SequenceData, user: int, first: int | None = None) -> tuple[tuple[str, str, int], ...]:
    place = data.events_of(user)
    rows = range(place.start, place.stop)[:first]
    return tuple(
        (data.item_ids[data.items[r]], Action(int(data.actions[r])).name.lower(), int(data.timestamps[r])) for r in rows
    )


def _asked_at(data: SequenceData, user: int, known: int | None) -> int:
    place = data.events_of(user)
    row = place.stop - 1 if known is None else min(place.start + known, place.stop - 1)
    return int(data.timestamps[row])


def _vouches(taste: NDArray[np.float64], place: int) -> tuple[tuple[str, int], ...]:
    nearest = np.argsort(-taste[place], kind="stable")[:_VOUCHES].tolist()
    return tuple((_NAMES[other], 3 - rank) for rank, other in enumerate(nearest))


def _bait(data: SequenceData, likes: NDArray[np.float64], users: list[int]) -> tuple[str, ...]:
    """The ten items that most of the circle like: whoever lists them looks like one of them."""
    order = np.argsort(-likes[users].sum(axis=0), kind="stable")[:10]
    return tuple(data.item_ids[i] for i in order)


def _spam(data: SequenceData, users: list[int]) -> tuple[str, ...]:
    seen = np.bincount(data.items, minlength=data.n_items).astype(float)
    for user in users:
        seen[data.items[data.events_of(user)]] = np.inf
    return tuple(data.item_ids[i] for i in np.argsort(seen, kind="stable")[:N_SPAM])
