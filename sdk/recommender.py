"""`Recommender`: the one object that an app holds.

It joins the private event store, the model bundle, the peer network and the trust graph. Every public method may be
called from any thread. Nothing is sent before `connect`, and nothing is shared before a sharing policy says so.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from device_runtime import Action, Bundle, HistoryEvent, ModelRanker, RowFilter, RuntimeSettings
from p2p import Identity, NodeStatus, PeerId, item_key
from sdk.blending import BlendConfig, Blended, blend
from sdk.device_folder import DeviceFolder
from sdk.errors import Closed, InvalidInput, NotConnected, UnknownItem
from sdk.interest import InterestConfig
from sdk.network import Network, TransportFactory, libp2p_transport
from sdk.reasons import history_reason, peer_reason
from sdk.recommendation import Reason, ReasonKind, Recommendation, Source
from sdk.sharing import SharingPolicy, item_opinions, shared_items, shared_vouches
from sdk.social import SocialConfig, SocialGraph, SocialView
from sdk.store import BLOCKED, EventStore, Opinion, StoredEvent

Clock = Callable[[], float]
_DEPTH = 50  # how far down each list the blend looks, at least


@dataclass(frozen=True, slots=True)
class RecommenderConfig:
    """What an app may tune.

    Attributes:
        sharing: what `connect` and `publish` tell peers; nothing by default.
        runtime: threads, memory and warm-up of the model.
        social: the walks.
        interest: whose records are taken.
        blend: the fusion of the two lists.
    """

    sharing: SharingPolicy = SharingPolicy.PRIVATE
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    social: SocialConfig = field(default_factory=SocialConfig)
    interest: InterestConfig = field(default_factory=InterestConfig)
    blend: BlendConfig = field(default_factory=BlendConfig)


def interest_of(config: RecommenderConfig) -> InterestConfig:
    """Return how much of the network a device takes: to follow only some would tell peers whom the person trusts."""
    tells = config.sharing is SharingPolicy.NETWORK
    return config.interest if tells else replace(config.interest, everyone_up_to=sys.maxsize)


class Recommender:
    """Recommendations that belong to the person who receives them.

    Use it as a context manager, or call `close`:

        with Recommender.open("my-device", bundle="model-bundle", trusted_keys=[publisher]) as me:
            me.record("50", "like")
            for pick in me.recommend(10):
                print(pick.title, pick.reasons[0].text)
    """

    def __init__(
        self,
        folder: DeviceFolder,
        ranker: ModelRanker,
        config: RecommenderConfig,
        clock: Clock = time.time,
        transport: TransportFactory = libp2p_transport,
    ) -> None:
        """Join opened parts; apps call `open`."""
        self._folder = folder
        self._ranker = ranker
        self._config = config
        self._clock = clock
        self._lock = threading.RLock()
        self._store = EventStore(folder.events_path)
        self._identity: Identity = folder.identity
        self._social = SocialGraph(self.peer_id, config.social)
        try:
            self._network = Network(folder, self._social, clock, transport, interest_of(config))
        except BaseException:
            self._store.close()
            raise
        # Dialling takes seconds; it has a lock of its own, so that nobody waits for a ranking meanwhile.
        self._network_lock = threading.RLock()
        self._own_changed = True
        self._closed = False
        keys = (item_key(self.namespace, item) for item in ranker.catalog.ids)
        self._row_of_key = {key: row for row, key in enumerate(keys)}

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path,
        trusted_keys: Iterable[bytes],
        config: RecommenderConfig | None = None,
        clock: Clock = time.time,
        passphrase: str | None = None,
        transport: TransportFactory = libp2p_transport,
    ) -> Self:
        """Open a device folder, made on first use, with a verified model bundle.

        Args:
            path: the device's folder: identity, events, records. One process at a time.
            bundle: a bundle directory or zip.
            trusted_keys: Ed25519 public keys (32 bytes) of the publishers the app trusts.
            config: what to tune.
            clock: returns Unix seconds.
            passphrase: opens a sealed identity; a new device's identity is sealed with it.
            transport: makes what `connect` uses of the device's identity; libp2p by default. A
                `p2p.bridge.BridgeTransport` lets the app itself carry the frames.

        Raises:
            device_runtime.BundleError: the bundle is damaged, expired, or not signed by a trusted key.
            DeviceFolderInvalid, StoreCorrupted, AlreadyOpen: see `sdk.errors`.
            p2p.PassphraseWrong: the identity is sealed with another passphrase.
        """
        config = config or RecommenderConfig()
        opened = Bundle.open(Path(bundle), trusted_keys=tuple(trusted_keys), now=int(clock()))
        folder = DeviceFolder.open(Path(path), passphrase)
        with ExitStack() as undo:
            undo.callback(folder.close)
            ranker = ModelRanker.open(opened, config.runtime)
            undo.callback(ranker.close)
            recommender = cls(folder, ranker, config, clock, transport)
            undo.pop_all()
        return recommender

    # -- what the person does ------------------------------------------------------------------

    def record(self, item: str, action: str = "like", *, at: int | None = None) -> None:
        """Store one event; it is durable when this returns, and stays on the device.

        Args:
            item: id from the catalog.
            action: view, like, dislike, save, buy or skip.
            at: Unix seconds, now when None.

        Raises:
            UnknownItem: the catalog does not hold the item.
            InvalidInput: no such action, or a time outside 1970..2100.
        """
        self.record_many([(item, action, int(self._clock()) if at is None else at)])

    def record_many(self, events: Iterable[tuple[str, str, int]]) -> None:
        """Store many `(item, action, at)` events in one transaction: all of them or, on an error, none."""
        checked = [self._checked(*event) for event in events]
        with self._open_lock():
            self._store.add_events(checked)
            self._own_changed = True

    def vouch(self, peer: bytes, level: int = 2) -> None:
        """Trust a peer: their likes and whom they trust begin to count.

        Args:
            peer: the peer's public key, 32 bytes.
            level: 1 (a little) to 3 (a lot).
        """
        if level not in (1, 2, 3):
            raise InvalidInput(f"a vouch has level 1, 2 or 3, got {level!r}")
        self._say(peer, level)

    def block(self, peer: bytes) -> None:
        """Cut a peer off: nothing reaches this device's rankings through them. Nobody is told."""
        self._say(peer, BLOCKED)

    def unvouch(self, peer: bytes) -> bool:
        """Take back a vouch or a block; return whether there was one."""
        with self._open_lock():
            removed = self._store.remove_opinion(self._checked_peer(peer))
            self._own_changed = True
            return removed

    # -- what the person gets ------------------------------------------------------------------

    def recommend(
        self, k: int = 10, *, source: Source = "blend", exclude_seen: bool = True, now: int | None = None
    ) -> list[Recommendation]:
        """Return up to `k` items, the best first, each with its reasons.

        Args:
            k: how many, 1 to 1000.
            source: `blend`, or one of its two parts alone.
            exclude_seen: leave out items of the person's own history.
            now: Unix seconds of the request, the clock's when None.
        """
        if not 1 <= k <= 1000:
            raise InvalidInput(f"k must be between 1 and 1000, got {k}")
        if source not in ("blend", "model", "peers"):
            raise InvalidInput(f"source must be blend, model or peers, got {source!r}")
        with self._open_lock():
            events = self._store.events(last=self._ranker.history_length)
            allowed = self._allowed(exclude_seen)
            depth = max(_DEPTH, 2 * k)
            model = self._model_rows(events, depth, allowed, now) if source != "peers" else []
            view = self._view()
            peers = self._peer_rows(view, allowed)[:depth] if source != "model" else []
            ranked = blend(
                model,
                peers,
                n_events=max(1, len(events)),
                n_peers=len(view.trusted),
                config=self._config.blend,
            )
            return [self._recommendation(b, events, view) for b in ranked[:k]]

    def explain(self, item: str) -> list[Reason]:
        """Return the reasons for one item, recommended or not.

        Raises:
            UnknownItem: the catalog does not hold the item.
        """
        with self._open_lock():
            row = self._row(item)
            view = self._view()
            events = self._store.events()
            reasons = []
            if any(event.item == item for event in events):
                reasons.append(Reason(ReasonKind.SEEN, "it is in your history", items=(item,)))
            recent = events[-self._ranker.history_length :]
            if row in self._model_rows(events, _DEPTH, RowFilter.of(len(self._ranker.catalog)), None):
                reasons.append(history_reason(self._ranker.catalog, row, recent, self._title))
            reasons += self._peer_reasons(row, view)
            nothing = Reason(ReasonKind.NONE, "neither your history nor a peer you trust points to it")
            return reasons or [nothing]

    def trusted_peers(self) -> list[tuple[PeerId, float]]:
        """Return whom this device trusts and how much, the most trusted first (scores within 0..1)."""
        with self._open_lock():
            return [(peer, s.score) for peer, s in self._view().trusted.items()]

    # -- the network ---------------------------------------------------------------------------

    def connect(
        self, peers: Sequence[str] = (), *, listen: str = "/ip4/127.0.0.1/tcp/0", lan: bool = False
    ) -> list[str]:
        """Join the peer network, publish what the sharing policy allows, and return this device's addresses.

        Args:
            peers: multiaddrs (with /p2p/…) to dial.
            listen: multiaddr to listen on.
            lan: whether to look for peers on the local network by mDNS, which tells everybody there this device's peer
                id and address.

        Raises:
            p2p.P2PError: libp2p is not installed, or no peer of `peers` could be reached.
        """
        with self._network_lock:
            self._check_open()
            addresses = self._network.connect(peers, listen, lan=lan)
            self.publish()
            return addresses

    def publish(self) -> bool:
        """Sign and gossip what the sharing policy allows; return whether anything new was published.

        Raises:
            NotConnected: call `connect` first.
        """
        with self._network_lock:
            if not self._network.connected:
                self._check_open()
                raise NotConnected("publishing needs the network; call connect() first")
            with self._open_lock():
                events, opinions = self._store.events(), self._store.opinions()
            return self._network.publish(self._config.sharing, events, opinions, self.namespace)

    def network_status(self) -> NodeStatus:
        """Return counts of peers, records and traffic."""
        with self._open_lock():
            return self._network.status()

    # -- identity and life cycle ---------------------------------------------------------------

    @property
    def peer_id(self) -> PeerId:
        """This device's public key: what others vouch for."""
        return self._identity.peer_id

    @property
    def namespace(self) -> str:
        """The catalog's namespace; peers with the same one mean the same items."""
        return self._ranker.manifest.catalog_namespace

    def count_events(self) -> int:
        """Return how many events the private store holds."""
        with self._open_lock():
            return self._store.count_events()

    def count_records(self) -> int:
        """Return how many peers' records the device holds."""
        with self._open_lock():
            return len(self._network.store.summary())

    def shared_now(self) -> dict[str, int]:
        """Return how many items and vouches the sharing policy would publish now."""
        with self._open_lock():
            policy = self._config.sharing
            return {
                "items": len(shared_items(policy, self._store.events(), self.namespace)),
                "vouches": len(shared_vouches(policy, self._store.opinions())),
            }

    @property
    def runtime(self) -> str:
        """Which runtime executes the model."""
        return self._ranker.runtime

    def close(self) -> None:
        """Leave the network and close every file; closing twice is harmless."""
        with self._network_lock, self._lock:
            if self._closed:
                return
            self._closed = True
            self._network.close()
            self._ranker.close()
            self._store.close()
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside --------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this Recommender is closed; open it again")

    @contextmanager
    def _open_lock(self) -> Iterator[None]:
        with self._lock:
            self._check_open()
            yield

    def _checked(self, item: str, action: str, at: int) -> StoredEvent:
        self._row(item)
        try:
            known = Action[action.upper()]
        except (KeyError, AttributeError):
            known = Action.PAD
        if known is Action.PAD:
            names = ", ".join(a.name.lower() for a in Action if a is not Action.PAD)
            raise InvalidInput(f"action must be one of {names}; got {action!r}")
        if not 0 <= at < 4_102_444_800:
            raise InvalidInput(f"at must be Unix seconds between 1970 and 2100, got {at!r}")
        return StoredEvent(item, int(known), int(at))

    def _row(self, item: str) -> int:
        if item not in self._ranker.catalog:
            raise UnknownItem(
                f"item {item!r} is not in the catalog {self.namespace!r}; check the id or update the bundle"
            )
        return self._ranker.catalog.index_of(item)

    def _checked_peer(self, peer: bytes) -> PeerId:
        if not isinstance(peer, bytes) or len(peer) != 32:
            raise InvalidInput("a peer is named by its public key: 32 bytes")
        if peer == self.peer_id:
            raise InvalidInput("a device cannot vouch for or block itself")
        return PeerId(peer)

    def _say(self, peer: bytes, level: int) -> None:
        known = self._checked_peer(peer)
        with self._open_lock():
            self._store.set_opinion(Opinion(known, level, int(self._clock())))
            self._own_changed = True

    def _allowed(self, exclude_seen: bool) -> RowFilter:
        catalog = self._ranker.catalog
        seen = [catalog.row_of(item) for item in self._store.items()] if exclude_seen else []
        return RowFilter.of(len(catalog), excluded=np.array(seen, np.int64))

    def _model_rows(self, events: Sequence[StoredEvent], k: int, allowed: RowFilter, now: int | None) -> list[int]:
        history = [HistoryEvent(e.item, Action(e.action), e.at) for e in events]
        asked = int(self._clock()) if now is None else now
        earlier = self._store.count_events() - len(events)
        return [row for row, _ in self._ranker.rank_rows(history, k, now=asked, allowed=allowed, earlier=earlier)]

    def _view(self) -> SocialView:
        if self._own_changed:
            self._social.set_self(item_opinions(self._store.events()), self._store.opinions(), self.namespace)
            self._own_changed = False
        return self._social.view()

    def _peer_rows(self, view: SocialView, allowed: RowFilter) -> list[int]:
        found = (self._row_of_key.get(key) for key, score in view.item_scores.items() if score.n_supporters)
        rows = np.array([row for row in found if row is not None], np.int64)
        kept: list[int] = rows[allowed.has(rows)].tolist()
        return kept

    def _peer_reasons(self, row: int, view: SocialView) -> list[Reason]:
        key = item_key(self.namespace, self._ranker.catalog.ids[row])
        score = view.item_scores.get(key)
        if score is None or score.n_supporters == 0:
            return []
        return [peer_reason(score, view.trusted, lambda peer: peer.hex()[:8])]

    def _recommendation(self, b: Blended, events: Sequence[StoredEvent], view: SocialView) -> Recommendation:
        reasons = self._peer_reasons(b.item, view) if b.peer_rank is not None else []
        if b.model_rank is not None:
            reasons.append(history_reason(self._ranker.catalog, b.item, events, self._title))
        return Recommendation(
            item=self._ranker.catalog.ids[b.item],
            title=self._title(b.item),
            score=b.score,
            reasons=tuple(reasons),
            model_rank=b.model_rank,
            peer_rank=b.peer_rank,
        )

    def _title(self, row: int) -> str:
        return self._ranker.catalog.title_of(row)
