"""Key rotation: a chain leads only where enough of the old and of the new keys agree, and never back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    PUBLISHERS_FILE,
    Bundle,
    PublisherKey,
    PublisherSet,
    Statement,
    UntrustedPublisher,
    follow,
    sign_bundle,
    statements_from_bytes,
    statements_to_bytes,
)

A, B, C, D = (PublisherKey.create() for _ in range(4))
PINNED = PublisherSet.pinned([A.public, B.public], 2)
NOW = 1_750_000_000


def _set(version: int, threshold: int, *keys: PublisherKey) -> PublisherSet:
    return PublisherSet(version, tuple(sorted(key.public for key in keys)), threshold)


def _statement(publishers: PublisherSet, *signers: PublisherKey) -> Statement:
    found = Statement(publishers)
    for key in signers:
        found = found.signed_by(key)
    return found


FIRST = _statement(_set(1, 2, B, C), A, B, C)
SECOND = _statement(_set(2, 1, D), B, C, D)


def test_a_chain_is_followed_from_wherever_one_stands() -> None:
    assert follow(PINNED, []) == PINNED
    assert follow(PINNED, [FIRST]) == FIRST.publishers
    assert follow(PINNED, [FIRST, SECOND]) == SECOND.publishers
    assert follow(FIRST.publishers, [FIRST, SECOND]) == SECOND.publishers
    assert follow(SECOND.publishers, [FIRST, SECOND]) == SECOND.publishers


@pytest.mark.parametrize(
    "statement",
    [
        _statement(_set(1, 2, B, C), A, C),  # one of the two old keys
        _statement(_set(1, 2, B, C), A, B),  # one of the two new keys
        _statement(_set(1, 2, B, C), B, C),
        _statement(_set(1, 2, C, D), C, D),
        _statement(_set(1, 1, B, C)),
        Statement(_set(1, 1, D), _statement(_set(1, 2, B, C), A, B, C).signatures),  # signatures of another statement
    ],
)
def test_too_few_signatures_lead_nowhere(statement: Statement) -> None:
    with pytest.raises(UntrustedPublisher, match="publishers 1 are not signed by"):
        follow(PINNED, [statement])


def test_a_gap_is_not_jumped_over() -> None:
    with pytest.raises(UntrustedPublisher, match="on is missing"):
        follow(PINNED, [SECOND])


def test_a_bundle_signature_is_not_a_statement_signature() -> None:
    """The domains differ, so whoever signs bundles by machine has not signed away the keys."""
    unsigned = Statement(_set(1, 1, D))
    as_bundle = tuple(key.sign(unsigned.message()) for key in (A, B, D))
    with pytest.raises(UntrustedPublisher):
        follow(PINNED, [Statement(unsigned.publishers, as_bundle)])


def test_the_file_keeps_the_chain() -> None:
    assert follow(PINNED, statements_from_bytes(statements_to_bytes([FIRST, SECOND]))) == SECOND.publishers


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(UntrustedPublisher):
        statements_from_bytes(data)


@given(
    st.lists(
        st.sampled_from(
            [
                ("statements",),
                ("version",),
                ("statements", 0),
                ("statements", 0, "publishers"),
                ("statements", 0, "publishers", "keys"),
                ("statements", 1, "publishers", "keys", 0),
                ("statements", 0, "publishers", "threshold"),
                ("statements", 0, "publishers", "version"),
                ("statements", 1, "signatures"),
                ("statements", 1, "signatures", 0),
                ("statements", 1, "signatures", 0, "key"),
                ("statements", 0, "signatures", 0, "signature"),
            ]
        ),
        min_size=1,
        max_size=2,
    ),
    _json,
)
def test_any_field_may_hold_anything(places: list[tuple[Any, ...]], value: Any) -> None:
    content: Any = json.loads(statements_to_bytes([FIRST, SECOND]))
    for place in places:
        inside = content
        try:
            for step in place[:-1]:
                inside = inside[step]
            inside[place[-1]] = copy.deepcopy(value)
        except (TypeError, KeyError, IndexError):
            return
    try:
        found = follow(PINNED, statements_from_bytes(json.dumps(content).encode()))
    except UntrustedPublisher:
        return
    assert found in (PINNED, FIRST.publishers, SECOND.publishers)


@pytest.mark.parametrize(
    ("keys", "threshold"),
    [([b"short"], 1), (["text"], 1), ([A.public], 0), ([A.public], 2), ([bytes([n]) * 32 for n in range(40)], 1)],
)
def test_sets_that_nobody_can_meet_are_refused(keys: list[Any], threshold: int) -> None:
    with pytest.raises(ValueError, match=r"key|threshold"):
        PublisherSet.pinned(keys, threshold)


def test_a_bundle_carries_the_chain(bundle_path: Path, publisher: PublisherKey) -> None:
    first = _statement(_set(1, 1, C), publisher, C)
    (bundle_path / PUBLISHERS_FILE).write_bytes(statements_to_bytes([first]))
    with pytest.raises(UntrustedPublisher, match="not 1 of the trusted"):
        Bundle.open(bundle_path, trusted_keys=[publisher.public], now=NOW)  # signed by the key that was replaced
    sign_bundle(bundle_path, C)
    opened = Bundle.open(bundle_path, trusted_keys=[publisher.public], now=NOW)
    assert opened.publishers == first.publishers
    (bundle_path / PUBLISHERS_FILE).unlink()
    assert Bundle.open(bundle_path, trusted_keys=opened.publishers, now=NOW).manifest.model_version == 3
