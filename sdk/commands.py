"""What each `meritrec` command does; parsing is in `cli`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from getpass import getpass
from pathlib import Path

from device_runtime import Bundle
from p2p.prometheus import MetricsServer
from sdk.device_folder import KEY_BYTES, DeviceFolder, DeviceSettings, is_open, private_umask
from sdk.errors import InvalidInput
from sdk.models import MODELS_FOLDER
from sdk.recommendation import Recommendation
from sdk.recommender import Recommender, RecommenderConfig
from sdk.rotation import IDENTITY_FILE, needs_passphrase
from sdk.sharing import SharingPolicy
from sdk.status import read_status, remove_status, status_as_json, status_text, write_status

PASSPHRASE_VARIABLE = "MERITREC_PASSPHRASE"
_STATUS_EVERY_S = 2.0


def init(arguments: argparse.Namespace) -> None:
    """Verify the bundle first, then make the folder: a bad bundle leaves nothing behind."""
    private_umask()
    keys = tuple(_key(text) for text in arguments.trust_key)
    Bundle.open(arguments.bundle, trusted_keys=keys)
    settings = DeviceSettings(keys, SharingPolicy(arguments.sharing))
    passphrase = _passphrase_for(arguments)
    made = Recommender.open(arguments.device, bundle=arguments.bundle, trusted_keys=keys, passphrase=passphrase)
    with made as device:
        settings.save(arguments.device)
        peer, model = device.peer_id.hex(), device.model
    facts = {
        "device": str(arguments.device),
        "peer": peer,
        "sharing": settings.sharing.value,
        "items": model.items,
        "model_version": model.version,
    }
    _print(facts, arguments.json, lambda: f"{arguments.device} is ready; this device is peer {peer}")


def _passphrase_for(arguments: argparse.Namespace) -> str | None:
    path = arguments.device / IDENTITY_FILE
    sealed = needs_passphrase(arguments.device)
    if path.exists() and arguments.seal and not sealed:
        raise InvalidInput(f"{path} exists and is not sealed; `meritrec rotate --seal` gives the device a sealed key")
    return _passphrase(confirm=not path.exists()) if arguments.seal or sealed else None


def record(arguments: argparse.Namespace) -> None:
    """Store one event."""
    with _open(arguments.device) as device:
        device.record(arguments.item, arguments.action, at=arguments.at)


def recommend(arguments: argparse.Namespace) -> None:
    """Print the ranking."""
    with _open(arguments.device) as device:
        picks = device.recommend(arguments.k, source=arguments.source, exclude_seen=not arguments.with_seen)
    _print([pick.as_json() for pick in picks], arguments.json, lambda: _ranking_text(picks))


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
    if arguments.status:
        _show_status(arguments)
        return
    with _open(arguments.device) as device, ExitStack() as cleanup:
        addresses = device.connect(arguments.connect, listen=arguments.listen, lan=arguments.lan)
        _print({"addresses": addresses}, arguments.json, lambda: "\n".join(addresses), compact=True)
        if arguments.metrics_port is not None:
            metrics = MetricsServer(arguments.metrics_port, device.network_status)
            cleanup.callback(metrics.close)
            print(f"metrics at {metrics.url}", file=sys.stderr)
        sys.stdout.flush()
        cleanup.callback(remove_status, arguments.device)
        _stay(device, arguments.device, addresses, arguments.duration_s)
        if arguments.json:
            print(json.dumps(status_as_json(device.network_status())))


def _stay(device: Recommender, folder: Path, addresses: list[str], duration_s: float | None) -> None:
    left, last = duration_s, None
    while left is None or left > 0:
        status = device.network_status()
        write_status(folder, status, addresses, time.time())
        line = (len(status.peers), status.records)
        if line != last:
            print(f"{line[0]} peers, {line[1]} records", file=sys.stderr)
            last = line
        wait = _STATUS_EVERY_S if left is None else min(_STATUS_EVERY_S, left)
        threading.Event().wait(wait)
        left = None if left is None else left - wait


def _show_status(arguments: argparse.Namespace) -> None:
    if not is_open(arguments.device):
        remove_status(arguments.device)  # of a process that was killed
    status = read_status(arguments.device)
    _print(status, arguments.json, lambda: status_text(status, time.time()))


def rotate(arguments: argparse.Namespace) -> None:
    """Hand over from the device's key to a new one."""
    private_umask()
    DeviceSettings.load(arguments.device)
    seal = arguments.seal or needs_passphrase(arguments.device)
    passphrase = _passphrase(confirm=False) if seal else None
    folder = DeviceFolder.open(arguments.device, passphrase)
    try:
        old = folder.identity.peer_id.hex()
        folder.rotate(passphrase)
        new = folder.identity.peer_id.hex()
    finally:
        folder.close()
    _print(
        {"old": old, "new": new},
        arguments.json,
        lambda: f"this device is peer {new} now; peers learn it when they meet it next\nit was    peer {old}",
    )


def inspect(arguments: argparse.Namespace) -> None:
    """Print what the device holds, runs, shares and trusts."""
    settings = DeviceSettings.load(arguments.device)
    with _open(arguments.device) as device:
        facts = {
            "peer": device.peer_id.hex(),
            "namespace": device.namespace,
            "model": device.model.as_json(),
            "runtime": device.runtime,
            "events": device.count_events(),
            "sharing": settings.sharing.value,
            "would_share": device.shared_now(),
            "records": device.count_records(),
            "trusted": [{"peer": key.hex(), "score": round(score, 4)} for key, score in device.trusted_peers()[:20]],
        }
    _print(facts, arguments.json, lambda: _facts_text(facts))


def _open(path: Path) -> Recommender:
    private_umask()
    settings = DeviceSettings.load(path)
    return Recommender.open(
        path,
        bundle=None if (path / MODELS_FOLDER).exists() else settings.bundle,
        trusted_keys=settings.trusted_keys,
        config=RecommenderConfig(sharing=settings.sharing),
        community=settings.community,
        passphrase=_passphrase(confirm=False) if needs_passphrase(path) else None,
    )


def _passphrase(*, confirm: bool) -> str:
    """Return the passphrase from the environment, or ask for it."""
    known = os.environ.get(PASSPHRASE_VARIABLE)
    if known:
        return known
    if not sys.stdin.isatty():
        raise InvalidInput(f"a passphrase is needed: set {PASSPHRASE_VARIABLE}, or run this in a terminal")
    typed = getpass("passphrase of this device: ")
    if not typed or (confirm and getpass("the same again: ") != typed):
        raise InvalidInput("the passphrase is empty, or the two differ")
    return typed


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"a public key is {2 * KEY_BYTES} hex digits, got {text!r}")
    return key


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
