"""From requests to the device's methods: every operation on a real device, and no way in without a key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2p import ConnectFailed, Identity
from sdk import Recommender
from sdk.view.api import ViewApi
from sdk.view.files import page_files
from sdk.view.gate import Gate
from sdk.view.joining import Joining
from sdk.view.operations import Operations
from sdk.view.request import Answer, Request

NOW = 1_700_000_000
AUTHORITY = "127.0.0.1:4242"
FRIEND = Identity.create().peer_id.hex()
ITEM = "item-7"


class Page:
    """What the page in a browser sends, without the browser."""

    def __init__(self, device: Recommender) -> None:
        def connect(addresses, lan) -> list[str]:
            raise ConnectFailed("could not reach anybody; check the address")

        self.device = device
        self.gate = Gate(AUTHORITY)
        self.operations = Operations(device, "my-device", Joining(connect), lambda: NOW)
        self.api = ViewApi(self.gate, self.operations.reads, self.operations.writes)
        self.headers = {"host": (AUTHORITY,), "origin": (f"http://{AUTHORITY}",), "content-type": ("application/json",)}
        self.headers["authorization"] = (f"Bearer {self.gate.enter(self.gate.link.rpartition('=')[2])}",)

    def get(self, path: str, **query: object) -> tuple[int, Any]:
        target = f"/api/{path}" + (f"?{urlencode(query)}" if query else "")
        return _read(self.api.answer(Request("GET", target, self.headers)))

    def post(self, path: str, **body: object) -> tuple[int, Any]:
        return _read(self.api.answer(Request("POST", f"/api/{path}", self.headers, json.dumps(body).encode())))


def _read(answer: Answer) -> tuple[int, Any]:
    content = json.loads(answer.body)
    if answer.status != 200:
        assert content.keys() == {"error", "message"}
        assert len(content["message"].split()) > 2
    return answer.status, content


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory, tiny_bundle, tiny_models) -> Iterator[Page]:
    """For tests that do not mind what others did to the device."""
    path = tmp_path_factory.mktemp("shared") / "device"
    shutil.copytree(tiny_models, path / "models")
    with Recommender.open(path, bundle=tiny_bundle.path, trusted_keys=[tiny_bundle.key], clock=lambda: NOW) as device:
        yield Page(device)


@pytest.fixture
def page(opened) -> Iterator[Page]:
    with opened() as device:
        yield Page(device)


def test_a_new_device_answers_every_question(page: Page) -> None:
    answers = {path: page.get(path) for path in page.operations.reads if path not in ("explain", "similar")}
    assert {status for status, _ in answers.values()} == {200}
    overview = answers["overview"][1]
    assert (overview["events"], overview["connected"], overview["sharing"]) == (0, False, "private")
    assert overview["peer"] == page.device.peer_id.hex()
    assert len(answers["recommendations"][1]["items"]) == 10
    assert answers["trust"][1]["nodes"] == answers["items/blocked"][1]["items"] == []
    assert answers["network"][1]["status"] is None


def test_what_the_person_says_arrives_at_the_device(page: Page) -> None:
    for action in ("like", "skip", "dislike"):
        assert page.post("events", item=ITEM, action=action) == (200, {"changed": True})
    assert page.device.count_events() == 3
    assert [e["action"] for e in page.get("export")[1]["events"]] == ["like", "skip", "dislike"]
    assert page.post("items/block", item="item-8")[0] == 200
    assert page.get("items/blocked")[1] == {"items": [{"item": "item-8", "title": "Title 8"}]}
    kinds = {kept["item"]: kept["kind"] for kept in page.get("filtered", k=50)[1]["items"]}
    assert (kinds[ITEM], kinds["item-8"]) == ("seen", "blocked")
    assert page.post("items/unblock", item="item-8") == (200, {"changed": True})
    assert page.device.blocked_items() == []


def test_the_switches_choose_the_ranking(page: Page) -> None:
    page.post("events", item=ITEM, action="like")
    everything = {pick["item"] for pick in page.get("recommendations", k=60, seen="true")[1]["items"]}
    assert everything - {pick["item"] for pick in page.get("recommendations", k=60)[1]["items"]} == {ITEM}
    assert page.get("recommendations", source="peers")[1] == {"items": []}
    assert page.get("recommendations", source="model")[1]["items"][0]["model_rank"] == 1
    assert page.get("explain", item=ITEM)[1]["reasons"][0]["kind"] == "seen"
    assert len(page.get("similar", item=ITEM, k=4)[1]["items"]) == 4


def test_peers_can_be_trusted_and_blocked(page: Page) -> None:
    assert page.post("peers/vouch", peer=FRIEND, level=3)[0] == 200
    (node,) = page.get("trust")[1]["nodes"]
    assert (node["peer"], node["level"], node["direct"], node["blocked"]) == (FRIEND, 3, True, False)
    assert page.get("trust")[1]["edges"] == [{"source": page.device.peer_id.hex(), "target": FRIEND, "level": 3}]
    assert page.post("peers/block", peer=FRIEND)[0] == 200
    assert page.get("trust")[1]["nodes"][0]["blocked"] is True
    assert page.post("peers/unvouch", peer=FRIEND) == (200, {"changed": True})
    assert page.get("trust")[1]["nodes"] == []


def test_sharing_is_shown_changed_and_withdrawn(page: Page) -> None:
    page.post("events", item=ITEM, action="like")
    before = page.get("sharing")[1]
    assert before["policy"]["level"] == "private"
    assert before["would_publish"]["items"] == []
    assert [held["title"] for held in before["withheld"]] == ["Title 7"]
    assert page.post("sharing", policy=before["policy"] | {"level": "items"}) == (200, {"changed": True})
    after = page.get("sharing")[1]
    assert [(entry["item"], entry["title"]) for entry in after["would_publish"]["items"]] == [(ITEM, "Title 7")]
    assert after["pending"] is True
    assert page.post("sharing/withdraw")[0] == 200
    assert page.get("sharing")[1]["policy"]["level"] == "private"


def test_forgetting(page: Page) -> None:
    for item in (ITEM, ITEM, "item-8"):
        page.post("events", item=item, action="like")
    assert page.post("forget", item=ITEM)[1]["events"] == 2
    assert page.post("forget")[0] == 422
    assert page.post("forget", item=ITEM, everything=True)[0] == 422
    assert page.post("forget", everything=True)[1]["events"] == 1
    assert page.device.count_events() == 0


def test_what_the_device_refuses_is_said(page: Page) -> None:
    for path, body, status, error in (
        ("events", {"item": "nope", "action": "like"}, 404, "UnknownItem"),
        ("events", {"item": ITEM, "action": "eat"}, 422, "InvalidInput"),
        ("events", {"item": ITEM}, 422, "InvalidInput"),
        ("events", {"item": ITEM, "action": "like", "at": 1}, 422, "InvalidInput"),
        ("peers/vouch", {"peer": page.device.peer_id.hex(), "level": 1}, 422, "InvalidInput"),
        ("peers/vouch", {"peer": FRIEND, "level": 4}, 422, "InvalidInput"),
        ("sharing", {"policy": {"level": "everything"}}, 422, "InvalidInput"),
        ("sharing/publish", {}, 409, "NotConnected"),
        ("model/update", {"source": "/nowhere/at/all"}, 409, "BundleMissing"),
        ("model/update", {"source": FRIEND}, 409, "NotConnected"),
        ("model/update", {"source": "a\0b"}, 422, "InvalidInput"),
        ("model/rollback", {}, 409, "StoreInvalid"),
        ("network/connect", {"addresses": ["/ip4/192.0.2.1/tcp/1"], "lan": False}, 502, "ConnectFailed"),
    ):
        said = page.post(path, **body)
        assert (said[0], said[1]["error"]) == (status, error), path
    assert "could not reach" in page.get("network")[1]["trouble"]
    page.device.close()
    assert page.get("overview")[0] == 503


def test_what_is_unforeseen_is_told_without_its_details(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    def broken(fields) -> object:
        raise RuntimeError("secret details")

    page.api = ViewApi(page.gate, {"broken": broken}, {})
    status, said = page.get("broken")
    assert status == 500
    assert "secret" not in said["message"]
    assert "secret details" in caplog.text


def test_the_page_is_served_to_everybody_and_nothing_else_is() -> None:
    api = ViewApi(Gate(AUTHORITY), {}, {})
    host = {"host": (AUTHORITY,)}
    index = api.answer(Request("GET", "/", host))
    assert (index.status, index.content_type) == (200, "text/html; charset=utf-8")
    assert {path.rpartition(".")[2] for path in page_files()} == {"/", "html", "css", "js", "svg"}
    for path in ("/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/assets/", "/server.py", "", "index.html", "*"):
        assert api.answer(Request("GET", path, host)).status == 404
    assert api.answer(Request("POST", "/", host)).status == 405


def test_the_page_brings_its_own_code_only() -> None:
    """What the policy would forbid is not in the files: no inline code or style, nothing from elsewhere."""
    for path, answer in page_files().items():
        text = answer.body.decode()
        assert "innerHTML" not in text
        assert "eval(" not in text
        links = [word for word in text.replace('"', " ").replace("'", " ").split() if "://" in word]
        assert {link for link in links if not link.startswith(("http://www.w3.org/", "https://…"))} == set(), path
    index = page_files()["/"].body.decode()
    assert "style=" not in index
    assert " on" not in "".join(part.partition(">")[0] for part in index.split("<"))


METHODS = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "get", ""])
NAMES = [
    "overview", "recommendations", "filtered", "explain", "similar", "items/blocked", "trust", "sharing", "network",
    "model", "metrics", "export", "session", "events", "items/block", "items/unblock", "peers/vouch", "peers/block",
    "peers/unvouch", "sharing/publish", "sharing/withdraw", "network/connect", "model/update", "model/rollback",
    "forget",
]  # fmt: skip
TARGETS = st.sampled_from(NAMES).map("/api/{}".format) | st.text(max_size=30)
QUERIES = st.just("") | st.text(max_size=40).map("?{}".format) | st.sampled_from(["?k=3", "?item=item-1", "?k=a&k=b"])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=20)
    | st.sampled_from([ITEM, FRIEND, "like", "items", [], {}, 1, 2, "model", {"level": "items"}, ["x"]])
)  # fmt: skip
FIELD_NAMES = st.sampled_from(
    ["item", "action", "peer", "level", "policy", "addresses", "lan", "everything", "token", "source", "x"]
)
BODIES = st.dictionaries(FIELD_NAMES, VALUES, max_size=3).map(lambda body: json.dumps(body).encode()) | st.binary(
    max_size=40
)
HEADERS = st.dictionaries(
    st.sampled_from(["host", "origin", "content-type", "authorization", "sec-fetch-site", "x"]),
    st.lists(
        st.sampled_from([AUTHORITY, f"http://{AUTHORITY}", "application/json", "null", "Bearer x", "cross-site"])
        | st.text(max_size=20),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
QUIET = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_the_names_that_are_tried_are_all_there_are(shared_page: Page) -> None:
    assert {*shared_page.operations.reads, *shared_page.operations.writes, "session"} == set(NAMES)


@QUIET
@given(METHODS, TARGETS, QUERIES, HEADERS, BODIES)
def test_nothing_happens_without_a_key(method, target, query, headers, body) -> None:
    """Whatever is sent, and however well it is made up, no operation is reached and nothing fails."""
    reached: list[str] = []
    operations = {name: lambda fields, name=name: reached.append(name) for name in NAMES if name != "session"}
    api = ViewApi(Gate(AUTHORITY), operations, operations)
    good = {"host": (AUTHORITY,), "origin": (f"http://{AUTHORITY}",), "content-type": ("application/json",)}
    for sent in (headers, good | headers, headers | good):
        answer = api.answer(Request(method, target + query, sent, body))
        assert answer.status < 500
        if target.startswith("/api/"):
            assert answer.status >= 400
    assert reached == []


@QUIET
@given(METHODS, TARGETS, QUERIES, BODIES)
def test_with_a_key_any_request_is_answered(shared_page: Page, method, target, query, body) -> None:
    answer = shared_page.api.answer(Request(method, target + query, shared_page.headers, body))
    assert answer.status not in (500, 503, 507)
    if answer.status != 200:
        assert json.loads(answer.body).keys() == {"error", "message"}
