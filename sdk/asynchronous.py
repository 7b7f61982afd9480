"""`AsyncRecommender`: the same device for apps that run on an event loop, asyncio or trio; the extra `async`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio import CapacityLimiter, to_thread

from device_runtime import Ask, RuntimeReport, Steering
from p2p import NodeStatus, PeerId
from sdk.downloading import Progress
from sdk.filters import Filters
from sdk.history import Event, Forgotten
from sdk.metrics import MetricsSnapshot
from sdk.models import ModelInfo, ModelUpdate
from sdk.network import TransportFactory, libp2p_transport
from sdk.opened import Clock, RecommenderConfig
from sdk.publication import Publication
from sdk.recommendation import Filtered, Reason, Recommendation, Source
from sdk.recommender import Recommender
from sdk.sharing import SharingPolicy
from sdk.store import Opinion
from sdk.trust_view import TrustView

Result = TypeVar("Result")
_THREADS = 8


class AsyncRecommender:
    """A `Recommender` whose methods are coroutines: each runs on a worker thread, so the loop goes on meanwhile.

    A call that was cancelled while it runs is waited for, so that nothing is left half done:

        async with await AsyncRecommender.open("my-device", trusted_keys=[publisher]) as me:
            await me.record("50", "like")
            picks = await me.recommend(10)
    """

    def __init__(self, recommender: Recommender) -> None:
        """Wrap an opened device, which belongs to this object from now on."""
        self._inner = recommender
        self._limiter = CapacityLimiter(_THREADS)

    @classmethod
    async def open(
        cls,
        path: str | Path,
        *,
        bundle: str | Path | None = None,
        trusted_keys: Iterable[bytes] = (),
        threshold: int = 1,
        config: RecommenderConfig | None = None,
        clock: Clock = time.time,
        passphrase: str | None = None,
        transport: TransportFactory = libp2p_transport,
        community: str = "",
    ) -> Self:
        """See `Recommender.open`."""
        opening = partial(
            Recommender.open,
            path,
            bundle=bundle,
            trusted_keys=tuple(trusted_keys),
            threshold=threshold,
            config=config,
            clock=clock,
            passphrase=passphrase,
            transport=transport,
            community=community,
        )
        return cls(await to_thread.run_sync(opening))

    async def _run(self, call: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
        return await to_thread.run_sync(partial(call, *arguments, **options), limiter=self._limiter)

    # -- history ---------------------------------------------------------------------------------

    async def record(self, item: str, action: str = "like", *, at: int | None = None) -> None:
        """See `Recommender.record`."""
        await self._run(self._inner.record, item, action, at=at)

    async def record_many(self, events: Iterable[Event]) -> None:
        """See `Recommender.record_many`."""
        await self._run(self._inner.record_many, list(events))

    async def count_events(self) -> int:
        """See `Recommender.count_events`."""
        return await self._run(self._inner.count_events)

    async def block_item(self, item: str) -> None:
        """See `Recommender.block_item`."""
        await self._run(self._inner.block_item, item)

    async def unblock_item(self, item: str) -> bool:
        """See `Recommender.unblock_item`."""
        return await self._run(self._inner.unblock_item, item)

    async def blocked_items(self) -> list[str]:
        """See `Recommender.blocked_items`."""
        return await self._run(self._inner.blocked_items)

    async def export_my_data(self) -> dict[str, Any]:
        """See `Recommender.export_my_data`."""
        return await self._run(self._inner.export_my_data)

    async def title_of(self, item: str) -> str:
        """See `Recommender.title_of`."""
        return await self._run(self._inner.title_of, item)

    async def forget(self, item: str | None = None, *, everything: bool = False) -> Forgotten:
        """See `Recommender.forget`."""
        return await self._run(self._inner.forget, item, everything=everything)

    # -- ranking ---------------------------------------------------------------------------------

    async def recommend(
        self,
        k: int = 10,
        *,
        source: Source = "blend",
        exclude_seen: bool = True,
        filters: Filters | None = None,
        diversity: float = 0.0,
        explore: float = 0.0,
        ask: Ask | None = None,
        priors: Mapping[str, float] | None = None,
        now: int | None = None,
    ) -> list[Recommendation]:
        """See `Recommender.recommend`."""
        return await self._run(
            self._inner.recommend,
            k,
            source=source,
            exclude_seen=exclude_seen,
            filters=filters,
            diversity=diversity,
            explore=explore,
            ask=ask,
            priors=priors,
            now=now,
        )

    async def steerable(self) -> Steering:
        """See `Recommender.steerable`."""
        return await self._run(self._inner.steerable)

    async def similar(self, item: str, k: int = 10, *, filters: Filters | None = None) -> list[Recommendation]:
        """See `Recommender.similar`."""
        return await self._run(self._inner.similar, item, k, filters=filters)

    async def explain(self, item: str) -> list[Reason]:
        """See `Recommender.explain`."""
        return await self._run(self._inner.explain, item)

    async def filtered(self, k: int = 20, *, filters: Filters | None = None) -> list[Filtered]:
        """See `Recommender.filtered`."""
        return await self._run(self._inner.filtered, k, filters=filters)

    # -- peers -----------------------------------------------------------------------------------

    async def vouch(self, peer: bytes, level: int = 2) -> None:
        """See `Recommender.vouch`."""
        await self._run(self._inner.vouch, peer, level)

    async def block(self, peer: bytes) -> None:
        """See `Recommender.block`."""
        await self._run(self._inner.block, peer)

    async def unvouch(self, peer: bytes) -> bool:
        """See `Recommender.unvouch`."""
        return await self._run(self._inner.unvouch, peer)

    async def opinions(self) -> list[Opinion]:
        """See `Recommender.opinions`."""
        return await self._run(self._inner.opinions)

    async def trusted_peers(self) -> list[tuple[PeerId, float]]:
        """See `Recommender.trusted_peers`."""
        return await self._run(self._inner.trusted_peers)

    async def trust_graph(self, limit: int = 100) -> TrustView:
        """See `Recommender.trust_graph`."""
        return await self._run(self._inner.trust_graph, limit)

    async def connect(
        self, peers: Sequence[str] = (), *, listen: str = "/ip4/127.0.0.1/tcp/0", lan: bool = False
    ) -> list[str]:
        """See `Recommender.connect`."""
        return await self._run(self._inner.connect, peers, listen=listen, lan=lan)

    async def publish(self) -> bool:
        """See `Recommender.publish`."""
        return await self._run(self._inner.publish)

    async def network_status(self) -> NodeStatus:
        """See `Recommender.network_status`."""
        return await self._run(self._inner.network_status)

    async def addresses(self) -> list[str]:
        """See `Recommender.addresses`; a coroutine, for it may wait for a request that is under way."""
        return await self._run(lambda: self._inner.addresses)

    async def count_records(self) -> int:
        """See `Recommender.count_records`."""
        return await self._run(self._inner.count_records)

    async def shared_now(self) -> dict[str, int]:
        """See `Recommender.shared_now`."""
        return await self._run(self._inner.shared_now)

    @property
    def peer_id(self) -> PeerId:
        """See `Recommender.peer_id`."""
        return self._inner.peer_id

    async def sharing(self) -> SharingPolicy:
        """See `Recommender.sharing`; a coroutine, for it may wait for a request that is under way."""
        return await self._run(lambda: self._inner.sharing)

    async def set_sharing(self, policy: SharingPolicy) -> Publication:
        """See `Recommender.set_sharing`."""
        return await self._run(self._inner.set_sharing, policy)

    async def shared(self) -> Publication:
        """See `Recommender.shared`."""
        return await self._run(self._inner.shared)

    async def withdraw(self) -> bool:
        """See `Recommender.withdraw`."""
        return await self._run(self._inner.withdraw)

    # -- the model -------------------------------------------------------------------------------

    async def model(self) -> ModelInfo:
        """See `Recommender.model`; a coroutine, for it may wait for a request that is under way."""
        return await self._run(lambda: self._inner.model)

    async def update(
        self, source: str | Path | bytes, *, sha256: str | None = None, progress: Progress | None = None
    ) -> ModelUpdate:
        """See `Recommender.update`; `progress` is called on a worker thread."""
        return await self._run(self._inner.update, source, sha256=sha256, progress=progress)

    async def rollback(self) -> ModelInfo:
        """See `Recommender.rollback`."""
        return await self._run(self._inner.rollback)

    async def can_roll_back(self) -> bool:
        """See `Recommender.can_roll_back`; a coroutine, for it may read a file."""
        return await self._run(lambda: self._inner.can_roll_back)

    async def metrics(self) -> MetricsSnapshot:
        """See `Recommender.metrics`."""
        return await self._run(self._inner.metrics)

    @property
    def namespace(self) -> str:
        """See `Recommender.namespace`."""
        return self._inner.namespace

    @property
    def runtime(self) -> str:
        """See `Recommender.runtime`."""
        return self._inner.runtime

    @property
    def runtime_report(self) -> RuntimeReport:
        """See `Recommender.runtime_report`."""
        return self._inner.runtime_report

    async def close(self) -> None:
        """See `Recommender.close`."""
        await self._run(self._inner.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
