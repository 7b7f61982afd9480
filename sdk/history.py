"""The person's own history: what is recorded, what is not to be shown, what can be taken along, what is forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from sdk.actions import action_name, action_number
from sdk.errors import InvalidInput
from sdk.opened import OpenDevice
from sdk.store import StoredEvent

_LATEST = 4_102_444_800  # the year 2100
_STEP_BACK_S = 86_400
Event = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` removed.

    Attributes:
        events: how many.
        opinions: of peers.
        blocked_items: how many.
        published: whether peers of any community were told of it. They are told otherwise at once in the community that
            the device is connected to, and in others when it is opened for them and connects.
    """

    events: int
    opinions: int = 0
    blocked_items: int = 0
    published: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


class History:
    """A part of `Recommender`: recording, blocking items, export and forgetting."""

    _device: OpenDevice

    def record(self, item: str, action: str = "like", *, at: int | None = None) -> None:
        """Store one event; it is durable when this returns, and stays on the device.

        Args:
            item: id from the catalog.
            action: view, like, dislike, save, buy (or purchase), skip, play or impression; see `sdk.actions`.
            at: Unix seconds, now when None. Then it is never before the event recorded last, even if the clock went
                back by up to a day. An event of the future is kept, and read by the model once its time has come.

        Raises:
            UnknownItem: the catalog does not hold the item.
            InvalidInput: no such action, or a time outside 1970..2100.
            DiskFull, StoreUnavailable: nothing was stored; what was stored before is whole.
        """
        self.record_many([(item, action, at)])

    def record_many(self, events: Iterable[Event]) -> None:
        """Store many `(item, action, at)` events in one transaction: all of them or, on an error, none."""
        device = self._device
        with device.locked("record"):
            newest = device.store.newest
            stamp = _stamp(device.now(), newest)
            checked = [self._checked(item, action, stamp if at is None else at) for item, action, at in events]
            device.store.add_events(checked, newest=stamp if stamp != newest else None)
            device.take_up(checked)

    def _checked(self, item: str, action: str, at: int) -> StoredEvent:
        self._device.row_of(item)
        number = action_number(action)
        if not isinstance(at, int) or not 0 <= at < _LATEST:
            raise InvalidInput(f"at must be Unix seconds between 1970 and 2100, got {at!r}")
        return StoredEvent(item, number, int(at))

    def count_events(self) -> int:
        """Return how many events the private store holds."""
        with self._device.locked():
            return self._device.store.count_events()

    # -- items that are not to be shown ----------------------------------------------------------

    def block_item(self, item: str) -> None:
        """Never recommend an item again, until `unblock_item`. Nobody is told.

        Raises:
            UnknownItem: the catalog does not hold the item.
        """
        with self._device.locked():
            self._device.row_of(item)
            self._device.store.block_item(item, self._device.now())

    def unblock_item(self, item: str) -> bool:
        """Take back `block_item`; return whether there was one."""
        with self._device.locked():
            return self._device.store.unblock_item(item)

    def blocked_items(self) -> list[str]:
        """Return the ids of blocked items, in order."""
        with self._device.locked():
            return self._device.store.blocked_items()

    # -- taking along and forgetting -------------------------------------------------------------

    def export_my_data(self) -> dict[str, Any]:
        """Return everything that this device holds about the person, in JSON's types.

        The identity's secret key is not part of it: it proves who the device is, and stays in the device folder.
        """
        device = self._device
        with device.locked():
            return {
                "format": 1,
                "exported_at": device.now(),
                "peer": device.identity.peer_id.hex(),
                "namespace": device.model.namespace,
                "events": [
                    {"item": e.item, "title": self.title_of(e.item), "action": action_name(e.action), "at": e.at}
                    for e in device.store.events()
                ],
                "opinions": [
                    {"peer": o.peer.hex(), "community": o.community, "level": o.level, "at": o.at}
                    for o in device.store.opinions(None)
                ],
                "blocked_items": device.store.blocked_items(),
                "sharing": device.publisher.report(device.private()).as_json(),
            }

    def title_of(self, item: str) -> str:
        """Return the title of an item, or its id where the catalog has no title or no such item."""
        row = self._device.model.catalog.row_of(item)
        return self._device.model.catalog.title_of(row) if row >= 0 else item

    def forget(self, item: str | None = None, *, everything: bool = False) -> Forgotten:
        """Remove events for good: their bytes are overwritten in the store.

        What was published of them is taken back at once if the device is connected, and else when it connects next.
        Peers' records, which are about others, stay; so does the identity (remove the device folder to end it).

        Args:
            item: forget everything about this item; it may be one that the catalog no longer holds.
            everything: forget all events, opinions of peers and blocked items instead.

        Raises:
            InvalidInput: neither or both were given.
        """
        if (item is None) is not everything:
            raise InvalidInput("say which item to forget, or everything=True")
        device = self._device
        with device.network_lock:
            with device.locked():
                if item is None:
                    gone = Forgotten(*device.store.forget_everything(), published=device.forget_published(None))
                else:
                    blocked = int(device.store.unblock_item(item))
                    told = device.forget_published(item)
                    gone = Forgotten(device.store.forget_item(item), blocked_items=blocked, published=told)
                device.model.forget_seen()
                device.own_changed = True
            if device.network.connected:
                device.publish()
        return gone


def _stamp(now: int, newest: int) -> int:
    """The time of an event that happens now: a clock set back a little must not turn the order of events around."""
    return newest if now < newest <= now + _STEP_BACK_S else now
