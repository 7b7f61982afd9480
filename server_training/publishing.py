"""The commands that publish: updates of a catalog, signatures, and the keys that may sign."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from device_runtime import (
    DELTA_FILE,
    PUBLISHERS_FILE,
    PublisherKey,
    PublisherSet,
    Statement,
    sign_bundle,
    sign_delta,
    statements_from_bytes,
    statements_to_bytes,
)
from server_training.console import console, print_result, text_lines
from server_training.errors import ConfigInvalid
from server_training.export.delta import make_delta
from server_training.files import write_atomically
from server_training.training.run_folder import Run


def delta_command(arguments: argparse.Namespace) -> None:
    """Write an unsigned update."""
    withdrawn: list[str] = []
    if arguments.withdraw is not None:
        try:
            withdrawn = [line.strip() for line in arguments.withdraw.read_text().splitlines() if line.strip()]
        except UnicodeDecodeError as error:
            raise ConfigInvalid(f"{arguments.withdraw} is not UTF-8 text; write an item id per line") from error
    console.print("update: reading the run's data again to place new items among the old ones")
    report = make_delta(
        Run.open(arguments.run),
        arguments.bundle,
        arguments.out,
        items=arguments.items,
        withdrawn=withdrawn,
        sequence=arguments.sequence,
        valid_days=arguments.valid_days,
    )
    content = asdict(report)
    print_result(content, arguments.json, lambda: "\n".join([f"{arguments.out} (unsigned)", *text_lines(content)]))


def sign_command(arguments: argparse.Namespace) -> None:
    """Sign a bundle or an update."""
    if arguments.new_key:
        PublisherKey.create().save(arguments.key)
    key = PublisherKey.load(arguments.key)
    if (arguments.bundle / DELTA_FILE).is_file():
        sign_delta(arguments.bundle, key)
    else:
        sign_bundle(arguments.bundle, key)
    if arguments.publishers is not None:
        chain = arguments.publishers.read_bytes()
        statements_from_bytes(chain)
        write_atomically(arguments.bundle / PUBLISHERS_FILE, chain)
    public = key.public.hex()
    print_result({"key": public}, arguments.json, lambda: f"{arguments.bundle} is signed by {public}")


def rotate_command(arguments: argparse.Namespace) -> None:
    """Write a new statement of publishers, or sign the newest one."""
    chain = list(statements_from_bytes(arguments.file.read_bytes())) if arguments.file.exists() else []
    if arguments.keys:
        try:
            keys = tuple(sorted({bytes.fromhex(key) for key in arguments.keys}))
            chain.append(Statement(PublisherSet(len(chain) + 1, keys, arguments.threshold)))
        except ValueError as error:
            raise ConfigInvalid(f"these keys make no set of publishers ({error})") from error
    elif not chain:
        raise ConfigInvalid(f"{arguments.file} holds no statement to sign; write one with --keys first")
    else:
        chain[-1] = chain[-1].signed_by(PublisherKey.load(arguments.sign))
    write_atomically(arguments.file, statements_to_bytes(chain))
    newest = chain[-1]
    content = {**newest.publishers.to_json(), "signed_by": sorted(s.key.hex() for s in newest.signatures)}
    lines = [f"{arguments.file}, newest statement:", *text_lines(content)]
    print_result(content, arguments.json, lambda: "\n".join(lines))
