"""Whose records this device wants: everyone's while there are few, later those that the person's walks visit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2p import PeerId
from sdk.social import SocialGraph

_STRANGER = 0.01


@dataclass(frozen=True, slots=True)
class InterestConfig:
    """When a device stops taking everyone's records.

    Attributes:
        everyone_up_to: held records up to which strangers' are taken too, so that a vouch for one of them counts at
            once. With more, only those of peers whom the walks visit are pulled, kept up to date and passed on.
    """

    everyone_up_to: int = 1_000


class Interest:
    """What the gossip protocol asks about authors. Quick, and safe to call from any thread.

    Args:
        social: whose walks decide.
        held: how many records the device holds.
        config: when to begin.
    """

    def __init__(self, social: SocialGraph, held: Callable[[], int], config: InterestConfig) -> None:
        self._social = social
        self._held = held
        self._config = config
        self._guided = False
        self._wanted: frozenset[PeerId] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Take up what the latest walks visit."""
        held = self._held()
        # Back only at half of that: a change costs every connected peer a message.
        self._guided = held > self._config.everyone_up_to or (self._guided and 2 * held > self._config.everyone_up_to)
        self._wanted = self._social.visited() if self._guided else None

    def frontier(self) -> frozenset[PeerId] | None:
        """Return the authors whose records are wanted; None for everyone's."""
        return self._wanted

    def admit(self, author: PeerId) -> float:
        """Return how welcome an author is: not at all when blocked; the more, the more often walks visit."""
        if author in self._social.blocked:
            return 0.0
        hits = self._social.hits(author)
        if hits > 0:
            return 1.0 + hits
        wanted = self._wanted
        return _STRANGER if wanted is None or author in wanted else 0.0
