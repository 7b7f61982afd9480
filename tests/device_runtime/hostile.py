"""Good bundles, and ways to spoil them."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from dataclasses import asdict
from typing import Any

import numpy as np

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    SIGNATURE_FILE,
    Catalog,
    Manifest,
    ModelShape,
    Neighbours,
    PublisherKey,
    PublisherSet,
    Statement,
    TrainingData,
    file_entries,
    statements_to_bytes,
)
from device_runtime.signing import signatures_to_bytes

NOW, EXPIRES, VERSION = 1_750_000_000, 1_800_000_000, 5
KEY, OTHER, STRANGER = (PublisherKey.create() for _ in range(3))
SHAPE = ModelShape("autoregressive", 6, 2, 4, 2, 3, 8, 2, 16, memory_rows=0)
Files = dict[str, bytes]


def catalog(seed: int) -> Catalog:
    """Forty items with everything a catalog can hold."""
    rng = np.random.default_rng(seed)
    codes = np.stack(np.unravel_index(rng.permutation(8**3)[:40], (8,) * 3), axis=1)
    ids = [f"item-{n}" if seed % 2 else str(n * 7) for n in range(40)]
    kinds = (["red", "green"], [rng.permutation(2)[: n % 3].tolist() for n in range(40)])
    found = Catalog.build(ids, codes, 8, [f"Title {n}" for n in range(40)], rng.normal(size=(40, 2)), kinds)
    return found.with_neighbours(Neighbours.build(rng.integers(0, 40, (40, 3)), rng.random((40, 3)) + 0.1, 2.0, 0.5))


def manifest(contents: Files, version: int = VERSION, **changes: Any) -> Manifest:
    """Return the manifest of some contents."""
    fields: dict[str, Any] = {
        "model_version": version,
        "created_at": NOW,
        "expires_at": EXPIRES,
        "runtime": "executorch 1.5.1",
        "backend": "xnnpack",
        "quantization": "8da8w",
        "methods": SHAPE.methods(),
        "window_step": 1,
        "n_items": 40,
        "catalog_namespace": "fuzz",
        "metrics": {"recall@10": 0.5},
        "training_data": TrainingData("made up", "CC0", "0" * 64),
        "files": file_entries(contents),
    }
    return Manifest(**(fields | asdict(SHAPE) | changes))


def signed(contents: Files, raw: bytes, *keys: PublisherKey) -> Files:
    """Return all files of a bundle."""
    return contents | {MANIFEST_FILE: raw, SIGNATURE_FILE: signatures_to_bytes([key.sign(raw) for key in keys])}


def good(seed: int, version: int = VERSION) -> Files:
    """A bundle that opens; its program is none, as nothing runs it here."""
    contents = {
        MODEL_FILE: bytes([seed]) * 500,
        CATALOG_FILE: catalog(seed).to_bytes(),
        "README.md": b"# a model\n",
    }
    return signed(contents, manifest(contents, version).to_bytes(), KEY)


GOOD, ELSE, OLD = good(1), good(2), good(3, VERSION - 1)
CHAIN = statements_to_bytes(
    [Statement(PublisherSet(1, tuple(sorted((KEY.public, OTHER.public))), 1)).signed_by(KEY).signed_by(OTHER)]
)


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """Change bytes in one of the ways in which files break or are broken."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        way, at = rng.randrange(8), rng.randrange(len(out) + 1) if out else 0
        if way == 0:
            del out[at:]
        elif way == 1 and out:
            out[at - 1] ^= 1 << rng.randrange(8)
        elif way == 2 and out:
            out[at - 1] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif way == 3:
            out[at:at] = rng.randbytes(rng.choice((1, 4, 64)))
        elif way == 4:
            del out[at : at + rng.choice((1, 4, 64))]
        elif way == 5:  # a number of four or eight bytes
            value = rng.choice((0, 1, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 63) - 1))
            out[at : at + 8] = struct.pack("<Q", value)[: rng.choice((4, 8))]
        elif way == 6:
            out[at:at] = out[: rng.randrange(200)]
        else:
            out += rng.randbytes(rng.randrange(40))
    return bytes(out)


def spoilt_json(data: bytes, rng: random.Random) -> bytes:
    """Change one value of a JSON file, and write it in canonical form again."""
    try:
        content: Any = json.loads(data)
    except ValueError:
        return spoilt(data, rng)
    inside, key = content, None
    while isinstance(inside, dict | list) and inside and (key is None or rng.random() < 0.7):
        key = rng.choice(sorted(inside) if isinstance(inside, dict) else range(len(inside)))
        if not isinstance(inside[key], dict | list) or not inside[key]:
            break
        if rng.random() < 0.7:
            inside = inside[key]
            key = None
    if key is None:
        return spoilt(data, rng)
    values = [None, True, -1, 0, 1 << 70, 0.5, "", "x" * 300, [], {}, [[]] * 50, "../evil", -(1 << 63), 1e300, "0" * 64]
    if rng.random() < 0.2:
        del inside[key]
    elif isinstance(inside[key], int) and rng.random() < 0.6:
        inside[key] += rng.choice((-1, 1, 1000, -1000, 1 << 40))
    else:
        inside[key] = rng.choice(values)
    try:
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        return spoilt(data, rng)


def as_zip(files: Files) -> bytes:
    """Return a stored zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
