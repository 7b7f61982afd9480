"""What every command shares: how it is added, how it opens a device, how it prints."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from getpass import getpass
from pathlib import Path
from typing import TypeAlias

from sdk.device_folder import KEY_BYTES, DeviceSettings, private_umask
from sdk.errors import InvalidInput
from sdk.models import MODELS_FOLDER
from sdk.recommender import Recommender, RecommenderConfig
from sdk.rotation import needs_passphrase

PASSPHRASE_VARIABLE = "MERITREC_PASSPHRASE"
ASKED = f"from {PASSPHRASE_VARIABLE}, or asked for"

Command = Callable[[argparse.Namespace], None]
Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_command(subparsers: Subparsers, name: str, summary: str, command: Command) -> argparse.ArgumentParser:
    """Add a command that works on a device folder, and return its parser for further arguments."""
    parser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("device", type=Path, help="device folder")
    parser.set_defaults(command=command)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, as every command that reads has it."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def open_device(path: Path) -> Recommender:
    """Open an initialised device as its settings say, asking for a passphrase if it is sealed.

    Raises:
        DeviceFolderInvalid: `meritrec init` has not been run on the folder.
    """
    private_umask()
    settings = DeviceSettings.load(path)
    return Recommender.open(
        path,
        bundle=None if (path / MODELS_FOLDER).exists() else settings.bundle,
        trusted_keys=settings.trusted_keys,
        config=RecommenderConfig(sharing=settings.sharing),
        community=settings.community,
        passphrase=ask_passphrase(confirm=False) if needs_passphrase(path) else None,
    )


def ask_passphrase(*, confirm: bool) -> str:
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


def key_of(text: str) -> bytes:
    """Return the public key that hex digits name.

    Raises:
        InvalidInput: they name none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"a public key is {2 * KEY_BYTES} hex digits, got {text!r}")
    return key


def print_result(content: object, as_json: bool, text: Callable[[], str], *, compact: bool = False) -> None:
    """Print a result as JSON or as text."""
    if as_json:
        print(json.dumps(content, ensure_ascii=False, indent=None if compact else 2))
    else:
        print(text())


def facts_text(facts: Mapping[str, object]) -> str:
    """Return named values, one a line."""
    width = max(len(name) for name in facts)
    return "\n".join(
        f"{name:<{width}}  {json.dumps(value) if isinstance(value, list | dict) else value}"
        for name, value in facts.items()
    )
