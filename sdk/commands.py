"""What each `meritrec` command does; parsing is in `cli`."""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from device_runtime import Bundle
from p2p import NodeStatus
from sdk.device_folder import KEY_BYTES, DeviceFolder, DeviceSettings, private_umask
from sdk.errors import InvalidInput
from sdk.recommendation import Recommendation
from sdk.recommender import Recommender, RecommenderConfig
from sdk.sharing import SharingPolicy

_STATUS_EVERY_S = 2.0


def init(arguments: argparse.Namespace) -> None:
    """Verify the bundle first, then make the folder: a bad bundle leaves nothing behind."""
    private_umask()
    keys = tuple(_key(text) for text in arguments.trust_key)
    bundle = Bundle.open(arguments.bundle, trusted_keys=keys)
    folder = DeviceFolder.open(arguments.device)
    try:
        settings = DeviceSettings(arguments.bundle.resolve(), keys, SharingPolicy(arguments.sharing))
        settings.save(folder.path)
        peer = folder.identity.peer_id.hex()
    finally:
        folder.close()
    facts = {
        "device": str(arguments.device),
        "peer": peer,
        "sharing": settings.sharing.value,
        "items": bundle.manifest.n_items,
        "model_version": bundle.manifest.model_version,
    }
    _print(facts, arguments.json, lambda: f"{arguments.device} is ready; this device is peer {peer}")


def record(arguments: argparse.Namespace) -> None:
    """Store one event."""
    with _open(arguments.device) as device:
        device.record(arguments.item, arguments.action, at=arguments.at)


def recommend(arguments: argparse.Namespace) -> None:
    """Print the ranking."""
    with _open(arguments.device) as device:
        picks = device.recommend(arguments.k, source=arguments.source, exclude_seen=not arguments.with_seen)
    _print([_as_json(pick) for pick in picks], arguments.json, lambda: _ranking_text(picks))


def vouch(arguments: argparse.Namespace) -> None:
    """Change what the person thinks of a peer."""
    peer = _key(arguments.peer)
    with _open(arguments.device) as device:
        if arguments.undo:
            if not device.unvouch(peer):
                raise InvalidInput(f"there is no vouch or block of {arguments.peer} to take back")
        elif arguments.block:
            device.block(peer)
        else:
            device.vouch(peer, arguments.level)


def peer(arguments: argparse.Namespace) -> None:
    """Stay in the network until interrupted or until the time is over, saying what changes."""
    stop = threading.Event()
    with _open(arguments.device) as device:
        addresses = device.connect(arguments.connect, listen=arguments.listen)
        _print({"addresses": addresses}, arguments.json, lambda: "\n".join(addresses), compact=True)
        sys.stdout.flush()
        left = arguments.duration_s
        last = None
        while left is None or left > 0:
            wait = _STATUS_EVERY_S if left is None else min(_STATUS_EVERY_S, left)
            stop.wait(wait)
            left = None if left is None else left - wait
            status = device.network_status()
            line = (len(status.peers), status.records)
            if line != last:
                print(f"{line[0]} peers, {line[1]} records", file=sys.stderr)
                last = line
        if arguments.json:
            print(json.dumps(_status_as_json(device.network_status())))


def inspect(arguments: argparse.Namespace) -> None:
    """Print what the device holds, runs, shares and trusts."""
    settings = DeviceSettings.load(arguments.device)
    with _open(arguments.device) as device:
        facts = {
            "peer": device.peer_id.hex(),
            "bundle": str(settings.bundle),
            "namespace": device.namespace,
            "runtime": device.runtime,
            "events": device.count_events(),
            "sharing": settings.sharing.value,
            "would_share": device.shared_now(),
            "records": device.count_records(),
            "trusted": [{"peer": key.hex(), "score": round(score, 4)} for key, score in device.trusted_peers()[:20]],
        }
    _print(facts, arguments.json, lambda: _facts_text(facts))


def _status_as_json(status: NodeStatus) -> dict[str, object]:
    counters = status.counters
    return {
        "peers": [peer.hex() for peer in status.peers],
        "records": status.records,
        "distrusted": sorted(peer.hex() for peer in status.distrusted),
        "accepted": counters.accepted,
        "rejected": {reason.name.lower(): count for reason, count in counters.rejected.items()},
        "bytes_in": counters.bytes_in,
        "bytes_out": counters.bytes_out,
    }


def _open(path: Path) -> Recommender:
    private_umask()
    settings = DeviceSettings.load(path)
    config = RecommenderConfig(sharing=settings.sharing)
    return Recommender.open(path, bundle=settings.bundle, trusted_keys=settings.trusted_keys, config=config)


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"a public key is {2 * KEY_BYTES} hex digits, got {text!r}")
    return key


def _as_json(pick: Recommendation) -> dict[str, object]:
    return {
        "item": pick.item,
        "title": pick.title,
        "score": pick.score,
        "model_rank": pick.model_rank,
        "peer_rank": pick.peer_rank,
        "reasons": [
            {
                "kind": r.kind.value,
                "text": r.text,
                "items": list(r.items),
                "peers": [p.hex() for p in r.peers],
            }
            for r in pick.reasons
        ],
    }


def _ranking_text(picks: list[Recommendation]) -> str:
    if not picks:
        return "nothing to recommend yet: record some events, or vouch for a peer and join the network"
    lines = []
    for rank, pick in enumerate(picks, 1):
        lines.append(f"{rank:3d}. {pick.title}  [{pick.item}]")
        lines += [f"     {reason.text}" for reason in pick.reasons]
    return "\n".join(lines)


def _facts_text(facts: dict[str, object]) -> str:
    width = max(len(name) for name in facts)
    return "\n".join(
        f"{name:<{width}}  {json.dumps(value) if isinstance(value, list | dict) else value}"
        for name, value in facts.items()
    )


def _print(content: object, as_json: bool, text: Callable[[], str], *, compact: bool = False) -> None:
    if as_json:
        print(json.dumps(content, ensure_ascii=False, indent=None if compact else 2))
    else:
        print(text())
