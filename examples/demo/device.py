"""One device of the demo, as a process of its own: reads commands as JSON lines, answers with JSON lines.

It uses what an app would use: `sdk.Recommender`, a device folder, a model bundle.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from p2p import NodeStatus
from sdk import Recommendation, Recommender, RecommenderConfig, SharingPolicy, SocialConfig
from trust import MeritRankConfig, SalsaConfig

Answer = dict[str, Any]
_TIMED_CALLS = 20
# MeritRank off: the same walks without connectivity decay and without trust weights in the item walk.
UNPROTECTED = SocialConfig(peers=MeritRankConfig(beta=0.0), items=SalsaConfig(trust_weighted=False))


class Device:
    """A running device and what it was asked to do so far."""

    def __init__(self, folder: Path, bundle: Path, key: bytes) -> None:
        self._folder, self._bundle, self._key = folder, bundle, key
        began = time.perf_counter()
        self._me = self._open(SocialConfig())
        self._startup_s = time.perf_counter() - began
        self._latencies: list[float] = []

    def _open(self, social: SocialConfig) -> Recommender:
        config = RecommenderConfig(sharing=SharingPolicy.NETWORK, social=social)
        return Recommender.open(self._folder, bundle=self._bundle, trusted_keys=[self._key], config=config)

    def hello(self) -> Answer:
        """Say who this is."""
        return {"peer": self._me.peer_id.hex(), "runtime": self._me.runtime, "startup_s": self._startup_s}

    def setup(self, events: list[tuple[str, str, int]], vouches: list[tuple[str, int]]) -> Answer:
        """Replay a history and vouch for friends."""
        self._me.record_many([(item, action, at) for item, action, at in events])
        for peer, level in vouches:
            self._me.vouch(bytes.fromhex(peer), level)
        return {"events": len(events)}

    def listen(self) -> Answer:
        """Start the network node."""
        return {"addresses": self._me.connect()}

    def dial(self, addresses: list[str]) -> Answer:
        """Dial other devices."""
        self._me.connect(addresses)
        return {}

    def status(self) -> Answer:
        """Say what the network brought."""
        return network_answer(self._me.network_status())

    def time(self, asked_at: int) -> Answer:
        """Measure `recommend` on the warm device, and its memory."""
        self._me.recommend(10, now=asked_at)
        for _ in range(_TIMED_CALLS):
            began = time.perf_counter()
            self._me.recommend(10, now=asked_at)
            self._latencies.append((time.perf_counter() - began) * 1e3)
        ordered = sorted(self._latencies)
        return {
            "recommend_p50_ms": statistics.median(ordered),
            "recommend_p95_ms": ordered[int(0.95 * (len(ordered) - 1))],
            "rss_mb": resident_mb(),
        }

    def lists(self, asked_at: int) -> Answer:
        """Answer with every list, with MeritRank on and then, after reopening the same folder, off."""
        on = {
            "model": self._list("model", asked_at),
            "peers_on": self._list("peers", asked_at),
            "blend_on": self._list("blend", asked_at),
        }
        trust = [(peer.hex(), score) for peer, score in self._me.trusted_peers()]
        self._me.close()
        self._me = self._open(UNPROTECTED)
        off = {"peers_off": self._list("peers", asked_at), "blend_off": self._list("blend", asked_at)}
        return {"lists": on | off, "trust": trust}

    def _list(self, source: Any, asked_at: int) -> list[Answer]:
        return [_row(rank, pick) for rank, pick in enumerate(self._me.recommend(10, source=source, now=asked_at), 1)]

    def stop(self) -> Answer:
        """Leave."""
        self._me.close()
        return {}


def _row(rank: int, pick: Recommendation) -> Answer:
    return {
        "rank": rank,
        "item": pick.item,
        "title": pick.title,
        "reasons": [reason.text for reason in pick.reasons],
        "model_rank": pick.model_rank,
        "peer_rank": pick.peer_rank,
    }


def network_answer(status: NodeStatus) -> Answer:
    """Return a node's counts as JSON-ready values."""
    counters = status.counters
    return {
        "records": status.records,
        "peers": len(status.peers),
        "bytes_in": counters.bytes_in,
        "bytes_out": counters.bytes_out,
        "rejected": {reason.name: count for reason, count in counters.rejected.items()},
    }


def resident_mb() -> float:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def serve(commands: dict[str, Callable[..., Answer]]) -> None:
    """Answer one JSON line per JSON line until `stop` or the end of input."""
    for line in sys.stdin:
        request = json.loads(line)
        name = request.pop("do")
        print(json.dumps(commands[name](**request)), flush=True)
        if name == "stop":
            return


def main() -> None:
    """Run a device: FOLDER BUNDLE PUBLISHER_KEY."""
    folder, bundle, key = sys.argv[1:]
    device = Device(Path(folder), Path(bundle), bytes.fromhex(key))
    names = ("hello", "setup", "listen", "dial", "status", "time", "lists", "stop")
    serve({name: getattr(device, name) for name in names})


if __name__ == "__main__":
    main()
