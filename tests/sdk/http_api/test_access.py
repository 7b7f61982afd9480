"""Tokens, hosts and origins: who is let in, and what the token file must be like."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.errors import InvalidInput
from sdk.http_api.access import Access, host_names, read_token
from tests.sdk.http_api.golden_device import TOKEN

PROTECTED = "/v1/recommendations"


@pytest.mark.parametrize(
    "shown",
    [None, "", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ü"],
)
def test_without_the_token_nothing_is_told(call, shown: str | None) -> None:
    headers = {} if shown is None else {"Authorization": shown.encode("utf-8")}
    answer = call(token=None).get(PROTECTED, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:meritrec:problem:token"


def test_two_tokens_are_none(call) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
    assert call(token=None).get(PROTECTED, headers=headers).status_code == 401


def test_the_scheme_is_read_in_any_case(call) -> None:
    assert call(token=None).get(PROTECTED, headers={"Authorization": f"bearer  {TOKEN}"}).status_code == 200


def test_health_and_description_need_no_token(call) -> None:
    client = call(token=None)
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/openapi.json").status_code == 200
    assert client.get("/v1/nothing").status_code == 401, "strangers do not learn which addresses there are"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:8765", "LOCALHOST", "[::1]:8765", "[::1]"])
def test_names_of_the_loopback_are_hosts(client, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["rebound.example", "127.0.0.1.rebound.example", "localhost.", "127.0.0.1:x", "", "a b", "::1", "127.1"]
)
def test_other_hosts_are_refused_even_with_the_token(client, host: str) -> None:
    for path in (PROTECTED, "/healthz", "/openapi.json"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:meritrec:problem:host")


def test_agreed_names_are_hosts_and_a_unix_socket_asks_for_none(call) -> None:
    agreed = call(Access(TOKEN, host_names(["Box.lan", "[fe80::1]"])))
    assert agreed.get("/healthz", headers={"Host": "box.lan:8765"}).status_code == 200
    assert agreed.get("/healthz", headers={"Host": "[fe80::1]"}).status_code == 200
    assert agreed.get("/healthz", headers={"Host": "other.lan"}).status_code == 403
    unix = call(Access(None, None), token=None)
    assert unix.get(PROTECTED, headers={"Host": "anything"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://page.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8765"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_web_pages_are_refused_with_or_without_a_token(call, headers: dict[str, str]) -> None:
    for client in (call(), call(Access(None), token=None)):
        for method in ("GET", "POST", "OPTIONS"):
            answer = client.request(method, "/v1/events", headers=headers, json={"events": [{"item": "item-1"}]})
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:meritrec:problem:web-page")
            assert "access-control-allow-origin" not in answer.headers
    assert call().get("/healthz", headers={"Sec-Fetch-Site": "none"}).status_code == 200, "an address typed in"


@pytest.mark.parametrize("name", ["", "a b", "host:80", "http://host", "::1", "a/b", "*"])
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no host name"):
        host_names([name])


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    token = read_token(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(token) >= 43
    assert read_token(path) == token
    assert read_token(tmp_path / "other") != token


def test_a_token_file_that_others_may_read_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    read_token(path)
    for mode in (0o640, 0o604, 0o666):
        path.chmod(mode)
        with pytest.raises(InvalidInput, match=f"mode {mode:o}.*chmod 600"):
            read_token(path)
        assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    "content", ["", "short", "x" * 600, "with space in the token file here", "ünicode" * 6, "\0" * 40]
)
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="no token"):
        read_token(path)
    assert path.read_text() == content


def test_a_token_file_may_not_be_something_else(tmp_path: Path) -> None:
    device = Path(os.devnull)
    with pytest.raises(InvalidInput, match="not a file"):
        read_token(device)


@given(st.text(max_size=80))
def test_no_header_is_taken_for_the_token(text: str) -> None:
    from sdk.http_api.access import _shows

    assert _shows([f"Bearer {text}"], TOKEN) == (text.strip() == TOKEN)
