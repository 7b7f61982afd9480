"""Who may ask: one trade per token, keys by tab, and no request that another page or another name could have made."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.view.gate import MAX_KEYS, Gate
from sdk.view.request import Refused, Request

AUTHORITY = "127.0.0.1:4242"
PAGE = f"http://{AUTHORITY}"


def _gate(told: list[str] | None = None) -> Gate:
    numbers = itertools.count()
    return Gate(AUTHORITY, lambda: f"secret{next(numbers)}", (told if told is not None else []).append)


def _request(**headers: str) -> Request:
    return Request("GET", "/", {name.replace("_", "-"): (value,) for name, value in headers.items()})


def _status(check, *arguments, **options) -> int:
    with pytest.raises(Refused) as refused:
        check(*arguments, **options)
    assert len(refused.value.message.split()) > 3
    return refused.value.status


def test_a_link_works_once_and_the_next_one_is_told() -> None:
    told: list[str] = []
    gate = _gate(told)
    assert gate.link == f"{PAGE}/#token=secret0"
    assert gate.enter("secret0") == "secret2"
    assert _status(gate.enter, "secret0") == 401
    assert told == [gate.link] == [f"{PAGE}/#token=secret1"]


def test_a_key_opens_and_a_token_does_not() -> None:
    gate = _gate()
    key = gate.enter("secret0")
    gate.check_key(_request(authorization=f"Bearer {key}"))
    gate.check_key(_request(authorization=f"bearer {key}"))
    for value in ("", key, f"Basic {key}", f"Bearer {key} ", "Bearer ", "Bearer secret1", f"Bearer {key}x"):
        assert _status(gate.check_key, _request(authorization=value)) == 401
    assert _status(gate.check_key, _request()) == 401


def test_the_oldest_tab_is_locked_out_when_there_are_too_many() -> None:
    gate = _gate()
    keys = [gate.enter(gate.link.rpartition("=")[2]) for _ in range(MAX_KEYS + 1)]
    assert _status(gate.check_key, _request(authorization=f"Bearer {keys[0]}")) == 401
    for key in keys[1:]:
        gate.check_key(_request(authorization=f"Bearer {key}"))


@pytest.mark.parametrize(
    "host", ["localhost:4242", "127.0.0.1", "127.0.0.1:4243", "evil.example:4242", "", "127.1:4242"]
)
def test_another_name_of_this_server_is_refused(host: str) -> None:
    assert _status(_gate().check_host, _request(host=host)) == 421


def test_a_missing_or_doubled_host_is_refused() -> None:
    _gate().check_host(_request(host=AUTHORITY))
    assert _status(_gate().check_host, _request()) == 421
    assert _status(_gate().check_host, Request("GET", "/", {"host": (AUTHORITY, AUTHORITY)})) == 400


@pytest.mark.parametrize("changes", [True, False])
@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", f"https://{AUTHORITY}", "http://127.0.0.1:9", PAGE + "/"]
)
def test_pages_from_elsewhere_are_refused(origin: str, changes: bool) -> None:
    assert _status(_gate().check_origin, _request(origin=origin), changes=changes) == 403


def test_a_change_has_to_say_where_it_comes_from() -> None:
    gate = _gate()
    gate.check_origin(_request(origin=PAGE), changes=True)
    gate.check_origin(_request(), changes=False)
    assert _status(gate.check_origin, _request(), changes=True) == 403
    for site in ("cross-site", "same-site"):
        assert _status(gate.check_origin, _request(origin=PAGE, sec_fetch_site=site), changes=True) == 403


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_is_a_body(kind: str) -> None:
    _gate().check_body(_request(content_type=kind))


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/jsonp"],
)
def test_what_a_form_could_send_is_no_body(kind: str) -> None:
    assert _status(_gate().check_body, _request(content_type=kind)) == 415


@given(st.text(max_size=40))
def test_no_other_text_is_the_token_or_a_key(text: str) -> None:
    gate = Gate(AUTHORITY)
    assert _status(gate.enter, text) == 401
    assert _status(gate.check_key, _request(authorization=f"Bearer {text}")) == 401
