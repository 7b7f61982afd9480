"""The face for Android as plain Python: JSON in, JSON out, and nothing that an app says makes it raise."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk import Recommender, android
from sdk.android_calls import CALLS
from tests.golden.facts import FOLDER, PINNED

PATIENCE_S = 10.0


class App:
    """What an app does: numbers, text and bytes only."""

    def __init__(self, carrier: Any = None) -> None:
        self.device = android.new_device(carrier)

    def call(self, name: str, **arguments: Any) -> Any:
        return self.answer(name, json.dumps(arguments))["ok"]

    def refused(self, name: str, **arguments: Any) -> tuple[str, str]:
        error = self.answer(name, json.dumps(arguments))["error"]
        return error["kind"], error["message"]

    def answer(self, name: str, arguments: str) -> Any:
        said = android.call(self.device, name, arguments)
        assert isinstance(said, str)
        assert said.isascii()  # Java's strings are not Python's beyond that
        content = json.loads(said)
        assert set(content) in ({"ok"}, {"error"})
        return content

    def open(self, path: Path, **settings: Any) -> Any:
        return self.call("open", path=str(path), bundle=str(FOLDER), trusted_keys=[PINNED.public.hex()], **settings)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    made = App()
    made.open(tmp_path / "device")
    yield made
    made.call("close")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    made = App()
    made.open(tmp_path_factory.mktemp("shared") / "device")
    yield made
    made.call("close")


def test_a_day_with_an_app(app: App, tmp_path: Path) -> None:
    assert app.call("record", item="item-7", action="buy") is None
    app.call("record_many", events=[["item-14", "view", None], ["item-21", "like", 1_700_000_000]])
    picks = app.call("recommend", k=3, diversity=0.5, filters={"categories": ["drama"]})
    assert len(picks) == 3
    assert all(pick["reasons"][0]["text"] for pick in picks)
    assert app.call("explain", item="item-7")[0]["kind"] == "seen"
    assert [pick["item"] for pick in app.call("similar", item="item-7", k=2)] != ["item-7"]
    assert {entry["kind"] for entry in app.call("filtered")} >= {"seen"}
    app.call("block_item", item=picks[0]["item"])
    assert app.call("blocked_items") == [picks[0]["item"]]
    assert picks[0]["item"] not in [pick["item"] for pick in app.call("recommend")]
    friend = "ab" * 32
    app.call("vouch", peer=friend, level=3)
    assert [(o["peer"], o["level"]) for o in app.call("opinions")] == [(friend, 3)]
    assert app.call("unvouch", peer=friend) is True
    assert len(app.call("export_my_data")["events"]) == 3
    assert app.call("sharing")["level"] == "private"
    assert app.call("shared")["would_publish"]["items"] == []
    told = app.call("set_sharing", policy={"level": "items", "deny_items": ["item-21"]})["would_publish"]["items"]
    assert [edge["item"] for edge in told] == ["item-7"]
    assert app.call("withdraw") is True
    assert app.call("sharing")["level"] == "private"
    assert app.call("metrics")["events"] == 3
    assert app.call("model")["namespace"] == "golden"
    assert app.call("forget", item="item-7")["events"] == 1
    gone = app.call("forget", everything=True)
    assert (gone["events"], gone["opinions"], gone["blocked_items"]) == (2, 0, 1)


def test_it_answers_as_the_recommender_does(app: App, tmp_path: Path) -> None:
    events: list[tuple[str, str, int | None]] = [(f"item-{n}", "like", 1_700_000_000 + n) for n in range(5)]
    app.call("record_many", events=events)
    with Recommender.open(tmp_path / "other", bundle=FOLDER, trusted_keys=[PINNED.public]) as other:
        other.record_many(events)
        now = 1_700_001_000
        expected = [pick.as_json() for pick in other.recommend(10, now=now)]
    assert app.call("recommend", k=10, now=now) == expected
    assert app.call("steerable") == {"asks": [], "priors": {}, "categories": []}


@pytest.mark.parametrize(
    ("name", "arguments", "kind", "says"),
    [
        ("record", {"item": "nothing"}, "UnknownItem", "not in the catalog"),
        ("record", {}, "InvalidInput", "missing a required argument: 'item'"),
        ("record", {"item": 7}, "InvalidInput", "item is 7, expected text"),
        ("record", {"item": "item-7", "when": 1}, "InvalidInput", "unexpected keyword argument 'when'"),
        ("record", {"item": "item-7", "action": "eat"}, "InvalidInput", "action must be one of"),
        ("record", {"item": "item-7", "at": True}, "InvalidInput", "expected a whole number or null"),
        ("record_many", {"events": [["item-7", "like"]]}, "InvalidInput", r"an event is [item, action, at]"),
        ("record_many", {"events": [["item-7", "like", 1.5]]}, "InvalidInput", "Unix seconds or null"),
        ("recommend", {"k": 0}, "InvalidInput", "k must be between"),
        ("recommend", {"k": 2.5}, "InvalidInput", "expected a whole number"),
        ("recommend", {"diversity": "much"}, "InvalidInput", "expected a number"),
        ("recommend", {"source": "stars"}, "InvalidInput", "source must be"),
        ("recommend", {"filters": {"colour": []}}, "InvalidInput", "filters"),
        ("recommend", {"filters": {"categories": "drama"}}, "InvalidInput", "collection of texts"),
        ("recommend", {"filters": {"categories": ["westerns"]}}, "UnknownCategory", "westerns"),
        ("recommend", {"ask": {"joy": 1}}, "InvalidInput", "ask:"),
        ("recommend", {"ask": {"novelty": "much"}}, "NotSteerable", "0 to 1"),
        ("recommend", {"ask": {"novelty": 1}}, "NotSteerable", "not trained for any asks"),
        ("recommend", {"priors": {"short": 1}}, "NotSteerable", "no prior 'short'"),
        ("vouch", {"peer": "zz"}, "InvalidInput", "64 hex digits"),
        ("vouch", {"peer": "abcd"}, "InvalidInput", "32 bytes"),
        ("forget", {}, "InvalidInput", "which item to forget"),
        ("set_sharing", {"policy": "everything"}, "InvalidInput", "level must be private, items or network"),
        ("set_sharing", {"policy": {"level": "items", "max": 1}}, "InvalidInput", "has no max"),
        ("set_sharing", {"policy": 7}, "InvalidInput", "expected text or an object"),
        ("connect", {}, "TransportUnavailable", "carrier"),
        ("connect", {"peers": [1]}, "InvalidInput", "addresses"),
        ("network_status", {}, "NotConnected", "connect"),
        ("update", {"source": "/nowhere"}, "BundleMissing", "no bundle"),
        ("update", {}, "InvalidInput", "either source"),
        ("update", {"source": "x", "peer": "ab" * 32}, "InvalidInput", "either source"),
        ("update", {"peer": "ab" * 32}, "NotConnected", "network"),
        ("rollback", {}, "StoreInvalid", "no previous model"),
        ("dance", {}, "InvalidInput", "there is no call 'dance'"),
        ("_me", {}, "InvalidInput", "there is no call"),
        ("__init__", {"me": 1}, "InvalidInput", "there is no call"),
        ("open", {"path": "x"}, "InvalidInput", "open already"),
        ("close", {"now": 1}, "InvalidInput", "unexpected"),
    ],
)
def test_what_is_refused_has_a_kind_and_says_why(
    shared: App, name: str, arguments: dict[str, Any], kind: str, says: str
) -> None:
    found, message = shared.refused(name, **arguments)
    assert (found, says in message) == (kind, True), message


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"k": NaN}', "[" * 100_000, "\udc80", '{"k": 1' + "0" * 5000 + "}"]
)
def test_arguments_that_are_no_json_object_are_refused(shared: App, text: str) -> None:
    error = shared.answer("recommend", text)["error"]
    assert error["kind"] == "InvalidInput"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just("item-7"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = [
    "item",
    "action",
    "at",
    "events",
    "k",
    "source",
    "filters",
    "diversity",
    "peer",
    "level",
    "limit",
    "now",
    "policy",
]
PURE = sorted(CALLS.keys() - {"connect", "update", "rollback"})


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PURE), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_whatever_an_app_says_gets_an_answer_and_no_defect(shared: App, name: str, arguments: dict[str, Any]) -> None:
    said = shared.answer(name, json.dumps(arguments))
    assert said.get("error", {}).get("kind") != "Internal", said


@pytest.mark.parametrize(
    ("settings_given", "kind"),
    [
        ({"trusted_keys": ["zz"]}, "InvalidInput"),
        ({"trusted_keys": ["00" * 32]}, "UntrustedPublisher"),
        ({"trusted_keys": []}, "UntrustedPublisher"),
        ({"sharing": "everything"}, "InvalidInput"),
        ({"sharing": {"epsilon": 99}}, "InvalidInput"),
        ({"threads": 0}, "InvalidInput"),
        ({"bundle": "/nowhere"}, "BundleMissing"),
        ({"bundle": None}, "BundleMissing"),
        ({"path": None}, "InvalidInput"),
    ],
)
def test_a_device_that_cannot_be_opened_says_why_and_can_be_opened_after(
    tmp_path: Path, settings_given: dict[str, Any], kind: str
) -> None:
    app = App()
    good = {"path": str(tmp_path / "device"), "bundle": str(FOLDER), "trusted_keys": [PINNED.public.hex()]}
    assert app.refused("open", **good | settings_given)[0] == kind
    assert app.refused("recommend")[0] == "Closed"
    app.call("open", **good)
    assert app.call("recommend", k=1)
    app.call("close")
    app.call("close")
    assert app.refused("recommend")[0] == "Closed"


def test_two_devices_do_not_share_a_folder(app: App, tmp_path: Path) -> None:
    again = App()
    settings_given = {"path": str(tmp_path / "device"), "bundle": str(FOLDER), "trusted_keys": [PINNED.public.hex()]}
    assert again.refused("open", **settings_given)[0] == "AlreadyOpen"


def test_a_device_that_was_never_made_is_refused() -> None:
    assert json.loads(android.call(10**9, "recommend"))["error"]["kind"] == "Closed"
    android.link_opened(10**9, "a")
    android.received(10**9, "a", b"frame")
    android.link_closed(10**9, "a")


def test_a_defect_of_ours_is_logged_and_named(shared: App, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    def broken(me: Recommender) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Recommender, "blocked_items", broken)
    kind, message = shared.refused("blocked_items")
    assert kind == "Internal"
    assert "ZeroDivisionError: a defect" in message
    assert "Traceback" in caplog.text


class HubCarrier:
    """A carrier of the app that joins devices of one process, and hands frames back by the module's functions."""

    ends: dict[str, tuple[HubCarrier, str]] = {}  # noqa: RUF012
    named: dict[str, HubCarrier] = {}  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name, self.device, self.opened = name, 0, 0
        self.named[name] = self

    def open(self, address: str) -> str:
        if address not in self.named:
            raise ConnectionRefusedError(f"nobody is called {address}")
        self.opened += 1
        near, far = f"{self.name}>{self.opened}", f"{address}<{self.name}{self.opened}"
        other = self.named[address]
        self.ends[near], self.ends[far] = (other, far), (self, near)
        android.link_opened(other.device, far)
        return near

    def send(self, link: str, frame: bytes) -> None:
        assert isinstance(frame, bytes)
        if link not in self.ends:
            raise BrokenPipeError("closed")
        other, far = self.ends[link]
        android.received(other.device, far, frame)

    def close(self, link: str) -> None:
        other, far = self.ends.pop(link, (None, ""))
        if other is not None and self.ends.pop(far, None) is not None:
            android.link_closed(other.device, far)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_frames_that_the_app_carries_bring_what_a_friend_likes(tmp_path: Path) -> None:
    carriers = [HubCarrier("ann"), HubCarrier("ben")]
    apps = [App(carrier) for carrier in carriers]
    for app, carrier in zip(apps, carriers, strict=True):
        carrier.device = app.device
        app.open(tmp_path / carrier.name, sharing="items")
    ann, ben = apps
    ben.call("record", item="item-7", action="buy")
    assert ben.call("connect", listen="ben") == ["ben"]
    assert ann.refused("connect", peers=["carl"])[0] == "ConnectFailed"
    ann.call("vouch", peer=ben.call("peer_id"))
    ann.call("connect", peers=["ben"], listen="ann")
    assert eventually(lambda: [pick["item"] for pick in ann.call("recommend", source="peers")] == ["item-7"])
    assert len(ann.call("network_status")["peers"]) == 1
    assert [node["direct"] for node in ann.call("trust_graph")["nodes"]] == [False, True]
    ben.call("close")
    assert eventually(lambda: ann.call("network_status")["peers"] == [])
    ann.call("close")
