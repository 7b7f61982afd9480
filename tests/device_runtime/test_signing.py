"""Publisher keys and signatures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    KeyFileInvalid,
    PublisherKey,
    PublisherSet,
    UntrustedPublisher,
    signatures_from_bytes,
    verify_signatures,
)
from device_runtime.signing import signatures_to_bytes

A, B, C = (PublisherKey.create() for _ in range(3))
MANIFEST = b'{"a":1}'
SIGNED = signatures_to_bytes([A.sign(MANIFEST), B.sign(MANIFEST)])


@pytest.mark.parametrize(
    ("trusted", "threshold"), [([A.public], 1), ([A.public, C.public], 1), ([A.public, B.public], 2)]
)
def test_enough_trusted_signatures(trusted: list[bytes], threshold: int) -> None:
    verify_signatures(MANIFEST, SIGNED, PublisherSet.pinned(trusted, threshold))


@pytest.mark.parametrize(
    ("manifest", "signatures", "trusted", "threshold"),
    [
        (MANIFEST, SIGNED, [C.public], 1),
        (MANIFEST, SIGNED, [], 1),
        (MANIFEST, SIGNED, [A.public, C.public], 2),
        (b'{"a":2}', SIGNED, [A.public], 1),
        (MANIFEST, signatures_to_bytes([A.sign(MANIFEST)] * 2), [A.public, C.public], 2),
        (MANIFEST, signatures_to_bytes([]), [A.public], 1),
    ],
)
def test_too_few(manifest: bytes, signatures: bytes, trusted: list[bytes], threshold: int) -> None:
    with pytest.raises(UntrustedPublisher, match="trusted"):
        verify_signatures(manifest, signatures, PublisherSet.pinned(trusted, threshold))


def test_a_signature_is_for_bundles_only() -> None:
    raw = A._key.sign(MANIFEST)  # the right key, without the domain
    forged = json.dumps({"version": 1, "signatures": [{"key": A.public.hex(), "signature": raw.hex()}]}).encode()
    with pytest.raises(UntrustedPublisher):
        verify_signatures(MANIFEST, forged, PublisherSet.pinned([A.public]))


def test_round_trip() -> None:
    found = signatures_from_bytes(SIGNED)
    assert {s.key for s in found} == {A.public, B.public}
    assert signatures_to_bytes(found) == SIGNED


@given(
    st.binary(max_size=80)
    | st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists).map(repr).map(str.encode)
)
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UntrustedPublisher):
        verify_signatures(MANIFEST, data, PublisherSet.pinned([A.public]))


@pytest.mark.parametrize(
    "content",
    [
        {"version": 2, "signatures": []},
        {"version": 1, "signatures": {}},
        {"version": 1, "signatures": "ab"},
        {"version": 1, "signatures": [{"key": "zz", "signature": ""}]},
        {"version": 1, "signatures": [{"key": "00", "signature": 5}]},
        {"version": 1, "signatures": [{"key": "00", "signature": "00"}]},
        {"version": 1, "signatures": [{"key": A.public.hex(), "signature": "00"}] * 65},
    ],
)
def test_odd_signature_files_are_refused(content: object) -> None:
    with pytest.raises(UntrustedPublisher):
        verify_signatures(MANIFEST, json.dumps(content).encode(), PublisherSet.pinned([A.public]))


@pytest.mark.parametrize(("trusted", "threshold"), [([A.public], 0), ([A.public[:31]], 1), ([A.public.hex()], 1)])
def test_an_app_that_would_trust_anyone_or_no_one_is_told(trusted: list[bytes], threshold: int) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|threshold"):
        verify_signatures(MANIFEST, SIGNED, PublisherSet.pinned(trusted, threshold))


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    A.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert PublisherKey.load(path).public == A.public
    with pytest.raises(KeyFileInvalid, match="not replaced"):
        B.save(path)
    assert PublisherKey.load(path).public == A.public


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x\ny\n", b"meritrec publisher key, keep it secret\n00\n"])
def test_damaged_key_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(KeyFileInvalid, match="backup"):
        PublisherKey.load(path)
    with pytest.raises(KeyFileInvalid, match="does not exist"):
        PublisherKey.load(tmp_path / "nothing")
    with pytest.raises(KeyFileInvalid):
        PublisherKey.load(tmp_path)
