"""What the page can see and do: one small function for each, over the device's public methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import cast

from p2p import NodeStatus
from sdk.errors import InvalidInput, NotConnected
from sdk.models import ModelInfo
from sdk.recommendation import Source
from sdk.recommender import Recommender
from sdk.sharing import SharingPolicy
from sdk.status import status_as_json
from sdk.view.joining import Joining
from sdk.view.request import Fields

MOST_ITEMS = 100
MOST_PEERS = 100
EXPIRES_SOON_S = 14 * 86_400
_MOST_ADDRESSES = 16
_DONE = {"changed": True}
_PEER = re.compile(r"[0-9a-f]{64}")


class Operations:
    """The operations over one device.

    Args:
        device: the opened device.
        folder: where it lives, as the person named it.
        joining: brings it into the network.
        now: returns Unix seconds.
    """

    def __init__(self, device: Recommender, folder: str, joining: Joining, now: Callable[[], float]) -> None:
        self._device = device
        self._folder = folder
        self._joining = joining
        self._now = now
        self._fetched: tuple[int, int | None] | None = None  # bytes, and of how many, while a model is fetched
        self.reads: Mapping[str, Callable[[Fields], object]] = {
            "overview": self._overview,
            "recommendations": self._recommendations,
            "filtered": self._filtered,
            "explain": self._explain,
            "similar": self._similar,
            "items/blocked": self._blocked_items,
            "trust": self._trust,
            "sharing": self._sharing,
            "network": self._network,
            "model": self._model,
            "metrics": self._metrics,
            "export": self._export,
        }
        self.writes: Mapping[str, Callable[[Fields], object]] = {
            "events": self._record,
            "items/block": self._block_item,
            "items/unblock": self._unblock_item,
            "peers/vouch": self._vouch,
            "peers/block": self._block,
            "peers/unvouch": self._unvouch,
            "sharing": self._set_sharing,
            "sharing/publish": self._publish,
            "sharing/withdraw": self._withdraw,
            "network/connect": self._connect,
            "model/update": self._update,
            "model/rollback": self._rollback,
            "forget": self._forget,
        }

    # -- looking ---------------------------------------------------------------------------------

    def _overview(self, fields: Fields) -> object:
        fields.finish()
        device = self._device
        status = self._status()
        model = device.model
        return {
            "peer": device.peer_id.hex(),
            "folder": self._folder,
            "connected": status is not None,
            "peers": len(status.peers) if status is not None else 0,
            "events": device.count_events(),
            "opinions": len(device.opinions()),
            "records": device.count_records(),
            "sharing": device.sharing.level.value,
            "model": {"version": model.version, "expires_at": model.expires_at, **_expiry(model, self._now())},
        }

    def _recommendations(self, fields: Fields) -> object:
        k = fields.number("k", 1, MOST_ITEMS, default=10)
        source = fields.text("source") if fields.has("source") else "blend"
        seen = fields.flag("seen")
        fields.finish()
        picks = self._device.recommend(k, source=cast(Source, source), exclude_seen=not seen)
        return {"items": [pick.as_json() for pick in picks]}

    def _filtered(self, fields: Fields) -> object:
        k = fields.number("k", 1, MOST_ITEMS, default=20)
        fields.finish()
        return {"items": [kept.as_json() for kept in self._device.filtered(k)]}

    def _explain(self, fields: Fields) -> object:
        item = fields.text("item")
        fields.finish()
        return {"reasons": [reason.as_json() for reason in self._device.explain(item)]}

    def _similar(self, fields: Fields) -> object:
        item, k = fields.text("item"), fields.number("k", 1, MOST_ITEMS, default=10)
        fields.finish()
        return {"items": [pick.as_json() for pick in self._device.similar(item, k)]}

    def _blocked_items(self, fields: Fields) -> object:
        fields.finish()
        return {"items": [self._named(item) for item in self._device.blocked_items()]}

    def _trust(self, fields: Fields) -> object:
        limit = fields.number("limit", 1, MOST_PEERS, default=MOST_PEERS)
        fields.finish()
        graph = self._device.trust_graph(limit).as_json()
        said = {opinion.peer.hex(): opinion.level for opinion in self._device.opinions()}
        others = [node for node in graph["nodes"] if not node["me"]]
        shown = sum(node["score"] > 0 for node in others)
        return {
            "me": self._device.peer_id.hex(),
            "nodes": [node | {"level": said.get(node["peer"])} for node in others],
            "edges": graph["edges"],
            "omitted": max(0, graph["trusted"] - shown),
        }

    def _network(self, fields: Fields) -> object:
        fields.finish()
        status = self._status()
        return {
            "connected": status is not None,
            "joining": self._joining.running,
            "trouble": self._joining.trouble,
            "addresses": list(self._joining.addresses),
            "records": self._device.count_records(),
            "status": None if status is None else status_as_json(status),
        }

    def _model(self, fields: Fields) -> object:
        fields.finish()
        model = self._device.model
        more = {"can_roll_back": self._device.can_roll_back, "fetched": self._fetched}
        return model.as_json() | _expiry(model, self._now()) | more

    def _metrics(self, fields: Fields) -> object:
        fields.finish()
        return self._device.metrics().as_json()

    def _export(self, fields: Fields) -> object:
        fields.finish()
        return self._device.export_my_data()

    def _sharing(self, fields: Fields) -> object:
        fields.finish()
        shared = self._device.shared().as_json()
        named = [*shared["published"]["items"], *shared["would_publish"]["items"], *shared["withheld"]]
        for entry in named:
            if entry.get("item") is not None:
                entry["title"] = self._device.title_of(entry["item"])
        return shared | {"connected": self._status() is not None}

    # -- changing --------------------------------------------------------------------------------

    def _record(self, fields: Fields) -> object:
        item, action = fields.text("item"), fields.text("action")
        fields.finish()
        self._device.record(item, action)
        return _DONE

    def _block_item(self, fields: Fields) -> object:
        item = fields.text("item")
        fields.finish()
        self._device.block_item(item)
        return _DONE

    def _unblock_item(self, fields: Fields) -> object:
        item = fields.text("item")
        fields.finish()
        return {"changed": self._device.unblock_item(item)}

    def _vouch(self, fields: Fields) -> object:
        peer, level = fields.key("peer"), fields.number("level", 1, 3)
        fields.finish()
        self._device.vouch(peer, level)
        return _DONE

    def _block(self, fields: Fields) -> object:
        peer = fields.key("peer")
        fields.finish()
        self._device.block(peer)
        return _DONE

    def _unvouch(self, fields: Fields) -> object:
        peer = fields.key("peer")
        fields.finish()
        return {"changed": self._device.unvouch(peer)}

    def _set_sharing(self, fields: Fields) -> object:
        policy = fields.any("policy")
        fields.finish()
        self._device.set_sharing(SharingPolicy.from_json(policy))
        return _DONE

    def _publish(self, fields: Fields) -> object:
        fields.finish()
        return {"changed": self._device.publish()}

    def _withdraw(self, fields: Fields) -> object:
        fields.finish()
        self._device.withdraw()
        return {"connected": self._status() is not None}

    def _connect(self, fields: Fields) -> object:
        addresses, lan = fields.texts("addresses", _MOST_ADDRESSES), fields.flag("lan")
        fields.finish()
        self._joining.join(addresses, lan=lan)
        return {"addresses": list(self._joining.addresses)}

    def _update(self, fields: Fields) -> object:
        source = fields.text("source")
        fields.finish()
        if "\0" in source:
            raise InvalidInput("source must be a path, an address or a key; none of them holds a zero byte")
        named = bytes.fromhex(source) if _PEER.fullmatch(source) else source
        try:
            return self._device.update(named, progress=self._take_progress).as_json()
        finally:
            self._fetched = None

    def _rollback(self, fields: Fields) -> object:
        fields.finish()
        return self._device.rollback().as_json()

    def _forget(self, fields: Fields) -> object:
        item = fields.text("item") if fields.has("item") else None
        everything = fields.flag("everything")
        fields.finish()
        return self._device.forget(item, everything=everything).as_json()

    # -- inside ----------------------------------------------------------------------------------

    def _status(self) -> NodeStatus | None:
        try:
            return self._device.network_status()
        except NotConnected:
            return None

    def _take_progress(self, done: int, of: int | None) -> None:
        self._fetched = (done, of)

    def _named(self, item: str) -> dict[str, str]:
        return {"item": item, "title": self._device.title_of(item)}


def _expiry(model: ModelInfo, now: float) -> dict[str, bool]:
    return {"expired": model.expired, "expiring": model.expires_at - now < EXPIRES_SOON_S}
