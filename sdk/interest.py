"""Whose records this device wants: everyone's while there are few, later those whom the person's walks visit most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from p2p import PeerId
from sdk.social import SocialGraph

_STRANGER = 0.01
_SLACK = 1.25  # who is wanted stays so a little below the cut, or those around it would come and go with every walk


@dataclass(frozen=True, slots=True)
class InterestConfig:
    """How much of the network a device takes.

    Attributes:
        everyone_up_to: held records up to which strangers' are taken too, so that a vouch for one of them counts at
            once. With more, only those of `most_visited` peers are pulled, kept up to date and passed on.
        most_visited: how many peers that is, those whom the walks visit most often. Connected peers learn whose records
            a device wants; one that does not publish its vouches therefore takes everyone's, whatever is set here.
    """

    everyone_up_to: int = 1_000
    most_visited: int = 500


class Interest:
    """What the gossip protocol asks about authors. Quick, and safe to call from any thread.

    Args:
        social: whose walks decide.
        held: how many records the device holds.
        config: when to begin, and how many.
    """

    def __init__(self, social: SocialGraph, held: Callable[[], int], config: InterestConfig) -> None:
        self._social = social
        self._held = held
        self._config = config
        self._guided = False
        self._chosen: frozenset[PeerId] = frozenset()
        self._wanted: frozenset[PeerId] | None = None
        self.refresh()

    def set_config(self, config: InterestConfig) -> None:
        """Take another configuration, at once."""
        self._config = config
        self.refresh()

    def refresh(self) -> None:
        """Take up what the latest walks visit."""
        held, limit = self._held(), self._config.everyone_up_to
        # Back only at half of that: a change costs every connected peer a message.
        self._guided = held > limit or (self._guided and 2 * held > limit)
        if not self._guided:
            self._wanted = None
            return
        visited = self._social.visited()
        count = self._config.most_visited
        stay = [peer for peer in visited[: int(_SLACK * count)] if peer in self._chosen]
        join = (peer for peer in visited[:count] if peer not in self._chosen)
        self._chosen = frozenset([*stay[:count], *list(join)[: max(0, count - len(stay))]])
        self._wanted = self._social.every_key(self._chosen)

    def frontier(self) -> frozenset[PeerId] | None:
        """Return the authors whose records are wanted; None for everyone's."""
        return self._wanted

    def admit(self, author: PeerId) -> float:
        """Return how welcome an author is: not at all when blocked; the more, the more often walks visit."""
        wanted = self._wanted
        if author in self._social.blocked or (wanted is not None and author not in wanted):
            return 0.0
        hits = self._social.hits(author)
        return 1.0 + hits if hits > 0 else _STRANGER
