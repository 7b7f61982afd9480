"""What the tests of the HTTP API share: the golden bundle, its publisher, a token, a time."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_runtime import PublisherKey

BUNDLE = Path(__file__).parents[2] / "golden" / "bundle"
DELTA = BUNDLE.with_name("delta")
PINNED = PublisherKey(Ed25519PrivateKey.from_private_bytes(bytes([6]) * 32)).public  # see tests/golden/make_bundle.py
TOKEN = "a-token-for-the-tests-of-this-api"
NOW = 1_750_000_000
URL = "http://127.0.0.1:8765"
