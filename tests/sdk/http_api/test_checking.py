"""Requests before they reach the device: hostile bytes end in a problem, never in a crash."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.http_api.checking import RequestChecks, parse_json, parse_query
from sdk.http_api.problems import Problem
from sdk.http_api.routes import ROUTES

BY_NAME = {route.name: route for route in ROUTES}
RECORD, RANK = (RequestChecks(BY_NAME[name]) for name in ("recordEvents", "recommend"))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=50)
@given(JSON_VALUES)
def test_json_reads_back(value: object) -> None:
    for ascii_only in (True, False):
        assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        RECORD.call({}, b"", body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":1,"a":2}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b"\xff",
        b"\xfe\xff\x00{\x00}",
        b'"\\ud800"',
        b'{"\\udfff": 1}',
        b"[" * 100_000,
        b"9" * 5000,
        b'{"a":1} x',
    ],
)
def test_what_is_not_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_json(body)
    assert (refused.value.status, refused.value.name) == (400, "malformed")
    assert len(json.dumps(refused.value.as_json())) < 500


def test_a_pair_of_surrogates_is_a_letter() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({}, "body"),
        ([], "body"),
        ({"events": []}, "body.events"),
        ({"events": [{}]}, "body.events.0"),
        ({"events": [{"item": 5}]}, "body.events.0.item"),
        ({"events": [{"item": ""}]}, "body.events.0.item"),
        ({"events": [{"item": "a" * 256}]}, "body.events.0.item"),
        ({"events": [{"item": "a", "action": "eat"}]}, "body.events.0.action"),
        ({"events": [{"item": "a", "at": 1.5}]}, "body.events.0.at"),
        ({"events": [{"item": "a", "at": True}]}, "body.events.0.at"),
        ({"events": [{"item": "a", "at": 10**30}]}, "body.events.0.at"),
        ({"events": [{"item": "a", "extra": 1}]}, "body.events.0"),
        ({"events": [{"item": "a"}] * 1001}, "body.events"),
        ({"events": [{"item": "a"}], "more": 1}, "body"),
    ],
)
def test_the_wrong_value_is_named(body: object, at: str) -> None:
    with pytest.raises(Problem) as refused:
        RECORD.call({}, b"", json.dumps(body).encode())
    assert refused.value.status == 422
    assert [fault.at for fault in refused.value.faults] == [at]
    assert refused.value.faults[0].message


@given(st.binary(max_size=100))
def test_any_query_is_read_or_a_problem(query: bytes) -> None:
    with suppress(Problem):
        RANK.call({}, query, b"")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"k=0", 422),
        (b"k=1001", 422),
        (b"k=", 422),
        (b"k=+5", 422),
        (b"k=5.0", 422),
        (b"k=05", 422),
        (b"k=%D9%A5", 422),
        (b"k=1_0", 422),
        (b"k=1&k=1", 422),
        (b"unknown=1", 422),
        (b"source=all", 422),
        (b"exclude_seen=1", 422),
        (b"exclude_seen=True", 422),
        (b"k=%ff", 400),
        (b"k=\xff", 400),
        (b"&".join([b"k=1"] * 3000), 400),
    ],
)
def test_queries_that_are_refused(query: bytes, status: int) -> None:
    with pytest.raises(Problem) as refused:
        RANK.call({}, query, b"")
    assert refused.value.status == status


@given(k=st.integers(1, 1000), seen=st.booleans())
def test_values_of_a_query_get_their_types(k: int, seen: bool) -> None:
    call = RANK.call({}, f"k={k}&exclude_seen={str(seen).lower()}&source=model".encode(), b"")
    assert call.query == {"k": k, "exclude_seen": seen, "source": "model"}


@given(st.floats(0, 1))
def test_numbers_of_a_query_read_back(number: float) -> None:
    (parameter,) = (p for p in BY_NAME["recommend"].parameters if p.name == "diversity")
    assert parse_query(f"diversity={number!r}".encode(), (parameter,)) == {"diversity": number}
