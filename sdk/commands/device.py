"""`init`, `inspect` and `rotate`: the device itself."""

from __future__ import annotations

import argparse
from pathlib import Path

from device_runtime import Bundle
from sdk.commands.frame import (
    ASKED,
    Subparsers,
    add_command,
    add_json,
    ask_passphrase,
    facts_text,
    key_of,
    open_device,
    print_result,
)
from sdk.device_folder import DeviceFolder, DeviceSettings, private_umask
from sdk.errors import InvalidInput
from sdk.recommender import Recommender
from sdk.rotation import IDENTITY_FILE, needs_passphrase
from sdk.sharing import SharingLevel, SharingPolicy


def add_init(subparsers: Subparsers) -> None:
    """Add `meritrec init`."""
    parser = add_command(subparsers, "init", "make a device: identity, store, model, sharing policy", init)
    parser.add_argument("--bundle", type=Path, required=True, help="model bundle, a folder or a zip; it is copied")
    parser.add_argument(
        "--trust-key",
        action="append",
        required=True,
        metavar="HEX",
        help="public key of a publisher you trust; repeatable",
    )
    parser.add_argument(
        "--sharing",
        choices=[level.value for level in SharingLevel],
        default=SharingLevel.PRIVATE.value,
        help="what peers are told: nothing, liked items, or liked items and vouches (default: %(default)s)",
    )
    parser.add_argument("--community", default="", metavar="NAME", help="circle of peers, under a key of its own")
    parser.add_argument("--seal", action="store_true", help=f"seal the identity with a passphrase {ASKED}")
    add_json(parser)


def init(arguments: argparse.Namespace) -> None:
    """Verify the bundle first, then make the folder: a bad bundle leaves nothing behind."""
    private_umask()
    keys = tuple(key_of(text) for text in arguments.trust_key)
    Bundle.open(arguments.bundle, trusted_keys=keys)
    policy = SharingPolicy(level=SharingLevel(arguments.sharing))
    settings = DeviceSettings(keys, policy, arguments.community)
    passphrase = _passphrase_for(arguments)
    made = Recommender.open(
        arguments.device,
        bundle=arguments.bundle,
        trusted_keys=keys,
        passphrase=passphrase,
        community=settings.community,
    )
    with made as device:
        if device.sharing != policy:
            device.set_sharing(policy)
        settings.save(arguments.device)
        peer, model = device.peer_id.hex(), device.model
    facts = {
        "device": str(arguments.device),
        "peer": peer,
        "sharing": policy.level.value,
        "items": model.items,
        "model_version": model.version,
    }
    print_result(facts, arguments.json, lambda: f"{arguments.device} is ready; this device is peer {peer}")


def _passphrase_for(arguments: argparse.Namespace) -> str | None:
    path = arguments.device / IDENTITY_FILE
    sealed = needs_passphrase(arguments.device)
    if path.exists() and arguments.seal and not sealed:
        raise InvalidInput(f"{path} exists and is not sealed; `meritrec rotate --seal` gives the device a sealed key")
    return ask_passphrase(confirm=not path.exists()) if arguments.seal or sealed else None


def add_inspect(subparsers: Subparsers) -> None:
    """Add `meritrec inspect`."""
    add_json(add_command(subparsers, "inspect", "say what the device holds, runs, shares and trusts", inspect))


def inspect(arguments: argparse.Namespace) -> None:
    """Print what the device holds, runs, shares and trusts."""
    with open_device(arguments.device) as device:
        facts = {
            "peer": device.peer_id.hex(),
            "namespace": device.namespace,
            "model": device.model.as_json(),
            **device.runtime_report.as_json(),
            "events": device.count_events(),
            "sharing": device.sharing.level.value,
            "would_share": device.shared_now(),
            "records": device.count_records(),
            "trusted": [{"peer": key.hex(), "score": round(score, 4)} for key, score in device.trusted_peers()[:20]],
        }
    print_result(facts, arguments.json, lambda: facts_text(facts))


def add_rotate(subparsers: Subparsers) -> None:
    """Add `meritrec rotate`."""
    summary = "give the device a new key; whoever trusts the old one will trust it"
    parser = add_command(subparsers, "rotate", summary, rotate)
    parser.add_argument("--seal", action="store_true", help=f"seal the new key with a passphrase {ASKED}")
    add_json(parser)


def rotate(arguments: argparse.Namespace) -> None:
    """Hand over from the device's key to a new one."""
    private_umask()
    community = DeviceSettings.load(arguments.device).community
    seal = arguments.seal or needs_passphrase(arguments.device)
    passphrase = ask_passphrase(confirm=False) if seal else None
    folder = DeviceFolder.open(arguments.device, passphrase, community)
    try:
        old = folder.identity.peer_id.hex()
        folder.rotate(passphrase)
        new = folder.identity.peer_id.hex()
    finally:
        folder.close()
    print_result(
        {"old": old, "new": new},
        arguments.json,
        lambda: f"this device is peer {new} now; peers learn it when they meet it next\nit was    peer {old}",
    )
