"""An opened device: the parts that `Recommender` joins, and the locks between them.

`lock` guards the model, the store's caches and the social graph; calls hold it for milliseconds. `network_lock` guards
joining the network and publishing, where dialling takes seconds. Whoever needs both takes `network_lock` first.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from device_runtime import DeviceError, ModelFailed, ModelStore, RuntimeSettings
from p2p import Identity, item_key
from sdk.actions import IMPRESSION
from sdk.active_model import ActiveModel
from sdk.blending import BlendConfig
from sdk.device_folder import DeviceFolder
from sdk.errors import Closed, NotConnected, UnknownItem
from sdk.interest import InterestConfig
from sdk.metrics import Timings
from sdk.network import Network, TransportFactory
from sdk.peer_models import ModelShelf
from sdk.public_catalog import PublicCatalog
from sdk.publisher import Private, Publisher, other_logs
from sdk.selection import OwnItems
from sdk.sharing import SharingPolicy
from sdk.social import SocialConfig, SocialGraph, SocialView
from sdk.store import EventStore, StoredEvent

Clock = Callable[[], float]
Answer = TypeVar("Answer")
logger = logging.getLogger("meritrec.sdk")
_OWN_ITEMS = 64  # of the person's own items, as many as a record may name


@dataclass(frozen=True, slots=True)
class RecommenderConfig:
    """What an app may tune.

    Attributes:
        sharing: what `connect` and `publish` tell peers until the person chooses otherwise by
            `Recommender.set_sharing`; nothing by default.
        runtime: threads, memory and warm-up of the model.
        social: the walks.
        interest: whose records are taken.
        blend: the fusion of the two lists.
        hide_shown: whether an item that was merely shown (action `impression`) counts as seen.
        offer_model: whether connected peers may fetch this device's model, which tells them which one it is.
    """

    sharing: SharingPolicy = SharingPolicy.PRIVATE
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    social: SocialConfig = field(default_factory=SocialConfig)
    interest: InterestConfig = field(default_factory=InterestConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)
    hide_shown: bool = False
    offer_model: bool = False


def interest_of(config: InterestConfig, policy: SharingPolicy) -> InterestConfig:
    """Return how much of the network a device takes: to follow only some would tell peers whom the person trusts."""
    return config if policy.shares_vouches else replace(config, everyone_up_to=sys.maxsize)


class OpenDevice:
    """The parts of one device. Closes all of them, those that were handed in included."""

    def __init__(
        self,
        folder: DeviceFolder,
        models: ModelStore,
        model: ActiveModel,
        config: RecommenderConfig,
        clock: Clock,
        transport: TransportFactory,
        community: str = "",
    ) -> None:
        self.folder = folder
        self.models = models
        self.model = model
        self.config = config
        self.clock = clock
        self.community = community
        self.timings = Timings()
        self.rollbacks = 0
        self.lock = threading.RLock()
        self.network_lock = threading.RLock()
        self.update_lock = threading.Lock()
        self.identity: Identity = folder.identity
        self.store = EventStore(folder.events_path)
        self.social = SocialGraph(self.identity.peer_id, config.social)
        with ExitStack() as undo:
            undo.callback(self.store.close)
            self.publisher = Publisher(
                folder.room,
                folder.device,
                community,
                PublicCatalog.of(model.ranker),
                config.sharing,
                lambda: self.network.own_record(),
                clock,
            )
            undo.callback(self.publisher.close)
            interest = interest_of(config.interest, self.publisher.policy)
            shelf = ModelShelf(lambda: self.model) if config.offer_model else None
            self.network = Network(folder, self.social, clock, transport, interest, shelf)
            undo.pop_all()
        self.own_changed = True
        self._closed = False

    def now(self) -> int:
        """Return the clock's Unix seconds, never below 0."""
        return max(0, int(self.clock()))

    def check_open(self) -> None:
        """Refuse to go on after `close`.

        Raises:
            Closed: it was closed.
        """
        if self._closed:
            raise Closed("this Recommender is closed; open it again")

    @contextmanager
    def locked(self, name: str | None = None) -> Iterator[None]:
        """Hold the lock of an open device, and time the call if it has a name."""
        if name is not None:
            with self.timings.timed(name), self.locked():
                yield
            return
        with self.lock:
            self.check_open()
            yield

    def view(self) -> SocialView:
        """Return the rankings of peers and of their items, after taking up what changed in the person's own history."""
        if self.own_changed:
            liked = self.store.item_opinions(limit=_OWN_ITEMS)
            self.social.set_self(liked, self.store.opinions(self.community), self.model.namespace)
            self.own_changed = False
        return self.social.view()

    # -- the model -------------------------------------------------------------------------------

    def answered(self, name: str, answer: Callable[[], Answer]) -> Answer:
        """Return what `answer` gives under the lock; a model that fails twice is replaced by the one before.

        Raises:
            device_runtime.ModelFailed: the model failed, and there is none to go back to.
        """
        with self.locked(name):
            try:
                return answer()
            except ModelFailed:
                logger.warning("the model failed; trying once more", exc_info=True)
            try:
                return answer()
            except ModelFailed as error:
                self._go_back(error)
                return answer()

    def _go_back(self, error: ModelFailed) -> None:
        try:
            model = ActiveModel.open(self.models.rollback(now=self.now()), self.config.runtime)
        except DeviceError as reason:
            logger.warning("there is no model to go back to: %s", reason)
            raise error from None
        logger.warning(
            "model version %s failed (%s); version %s is used again",
            self.model.manifest.model_version,
            error,
            model.manifest.model_version,
        )
        self.rollbacks += 1
        self.use(model)

    def use(self, model: ActiveModel) -> None:
        """Answer with another model from now on, and close the one before. Its catalog may hold other items.

        Raises:
            Closed: the device was closed meanwhile; the new model is closed too.
        """
        with self.lock:
            if self._closed:
                model.close()
                self.check_open()
            before, self.model = self.model, model
            self.publisher.set_catalog(PublicCatalog.of(model.ranker))
            self.own_changed = True
            before.close()

    def row_of(self, item: str) -> int:
        """Return the catalog row of an item.

        Raises:
            UnknownItem: the catalog does not hold it.
        """
        row = self.model.catalog.row_of(item) if isinstance(item, str) else -1
        if row < 0:
            where = self.model.namespace
            raise UnknownItem(f"item {item!r} is not in the catalog {where!r}; check the id or update the bundle")
        return row

    def take_up(self, events: Sequence[StoredEvent]) -> None:
        """Remember what was just stored."""
        shown = self.config.hide_shown
        self.model.add_seen(event.item for event in events if shown or event.action != IMPRESSION)
        self.own_changed = True

    def seen_rows(self) -> NDArray[np.int64]:
        """Return the catalog rows that count as seen, ascending; read from the store once per model."""
        if not self.model.knows_seen:
            self.model.set_seen(self.store.seen_items(shown=self.config.hide_shown))
        return self.model.seen_rows()

    # -- the network -----------------------------------------------------------------------------

    def publish(self) -> bool:
        """Sign and gossip what the sharing policy allows; return whether anything new was published.

        Raises:
            NotConnected: the device is not in the network.
        """
        with self.network_lock:
            if not self.network.connected:
                self.check_open()
                raise NotConnected("publishing needs the network; call connect() first")
            with self.locked():
                before, content = self.publisher.next(self.private())
            if before.edges == content.edges:
                return False
            self.publisher.note(self.network.publish(*content.edges), content)
            return True

    def private(self) -> Private:
        """Return what sharing chooses from."""
        own = OwnItems(self.store.item_opinions(), self.store.seen_items())
        return Private(own, self.social.current(self.store.opinions(self.community)))

    def forget_published(self, item: str | None) -> bool:
        """Tell an item no more, or nothing at all if it is None, in every community; drop the traces in their logs.

        Returns:
            Whether the next publication in one of them has something to take out.
        """
        told = [self.publisher.forget_everything() if item is None else self.publisher.forget(item)]
        key = None if item is None else item_key(self.model.namespace, item)
        logs = other_logs(self.folder.path, self.folder.device, self.community)
        told += [log.forget_everything() if key is None else log.forget(key) for log in logs]
        self.network.set_interest(interest_of(self.config.interest, self.publisher.policy))
        return any(told)

    def share(self, policy: SharingPolicy) -> None:
        """Choose what is shared from the next publication on.

        Raises:
            InvalidInput: the policy names a category that the catalog does not have.
        """
        with self.locked():
            self.publisher.choose(policy)
            self.network.set_interest(interest_of(self.config.interest, policy))

    def close(self) -> None:
        """Leave the network and close every file; closing twice is harmless."""
        with self.network_lock, self.lock:
            if self._closed:
                return
            self._closed = True
            self.network.close()
            self.publisher.close()
            self.model.close()
            self.store.close()
            self.folder.close()
