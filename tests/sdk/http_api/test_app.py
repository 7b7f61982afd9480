"""Every operation over a real device; errors as problems; limits; repeated requests."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest

from device_runtime import Ask, DeviceError, ModelRanker, Steering
from p2p import P2PError
from sdk import SDKError, SharingPolicy
from sdk.http_api import HttpLimits
from sdk.http_api.problems import STATUS_OF_ERROR, TITLES, Problem, problem_of
from sdk.http_api.routes import ROUTES
from tests.sdk.http_api.golden_device import BUNDLE, DELTA, NOW

PEER = "ab" * 32


def _record(client, *items: str, **more: Any):
    return client.post("/v1/events", json={"events": [{"item": item} for item in items]}, **more)


def test_history_can_be_recorded_taken_along_and_forgotten(client, me) -> None:
    events = [{"item": "item-1"}, {"item": "item-2", "action": "play", "at": 1_600_000_000}]
    assert client.post("/v1/events", json={"events": events}).json() == {"recorded": 2}
    exported = client.get("/v1/export").json()
    assert exported == me.export_my_data()
    assert [(e["item"], e["action"], e["at"]) for e in exported["events"]] == [
        ("item-2", "play", 1_600_000_000),
        ("item-1", "like", NOW),
    ]
    assert client.delete("/v1/items/item-1/events").json() == {
        "events": 1,
        "opinions": 0,
        "blocked_items": 0,
        "published": False,
    }
    assert client.delete("/v1/items/item-1/events").json()["events"] == 0
    for query in ("", "?everything=false", "?everything=yes", "?everything=true&item=item-2"):
        assert client.delete(f"/v1/events{query}").status_code == 422
    assert me.count_events() == 1
    assert client.delete("/v1/events?everything=true").json()["events"] == 1
    assert me.count_events() == 0


def test_an_unknown_item_stores_nothing(client, me) -> None:
    answer = _record(client, "item-1", "nope")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("urn:meritrec:problem:unknown-item", 404)
    assert "'nope' is not in the catalog" in problem["detail"]
    assert me.count_events() == 0


def test_a_ranking_is_the_recommenders(client, me) -> None:
    _record(client, "item-1", "item-2")
    asked = {"k": 7, "source": "model", "exclude_seen": "false", "diversity": "0.5", "explore": "0.2"}
    answer = client.get("/v1/recommendations", params=asked)
    expected = me.recommend(7, source="model", exclude_seen=False, diversity=0.5, explore=0.2)
    assert answer.json()["recommendations"] == [pick.as_json() for pick in expected]
    assert answer.headers["Cache-Control"] == "no-store"
    assert len(client.get("/v1/recommendations").json()["recommendations"]) == 10
    kept = client.get("/v1/recommendations/filtered?k=5").json()["filtered"]
    assert kept == [item.as_json() for item in me.filtered(5)]
    assert {item["kind"] for item in kept} == {"seen"}


def test_filters_may_be_repeated(client) -> None:
    params = [("category", "drama"), ("not_item", "item-0"), ("not_item", "item-2"), ("k", "1000")]
    found = {p["item"] for p in client.get("/v1/recommendations", params=params).json()["recommendations"]}
    dramas = {f"item-{n}" for n in range(50) if n % 2 == 0 or n % 3 == 0}
    assert found == dramas - {"item-0", "item-2"}
    params = [("item", "item-3"), ("item", "item-5"), ("item", "unknown"), ("available", "item-5")]
    (only,) = client.get("/v1/recommendations", params=params).json()["recommendations"]
    assert only["item"] == "item-5"
    unknown = client.get("/v1/recommendations?category=western")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "urn:meritrec:problem:unknown-category")


def test_one_item_has_its_like_and_its_reasons(client, me) -> None:
    _record(client, "item-1")
    similar = client.get("/v1/items/item-3/similar?k=2").json()["recommendations"]
    assert similar == [pick.as_json() for pick in me.similar("item-3", 2)]
    reasons = client.get("/v1/items/item-1/reasons").json()["reasons"]
    assert reasons == [reason.as_json() for reason in me.explain("item-1")]
    for item in ("nope", "a%2Fb", "..%2F..", "%00", "%C3%A9", "a%20b"):
        for view in ("similar", "reasons"):
            assert client.get(f"/v1/items/{item}/{view}").status_code == 404


def test_blocked_items_are_never_shown(client) -> None:
    assert client.put("/v1/blocked-items/item-5").status_code == 204
    assert client.get("/v1/blocked-items").json() == {"items": ["item-5"]}
    shown = client.get("/v1/recommendations?k=1000&exclude_seen=false").json()["recommendations"]
    assert "item-5" not in {pick["item"] for pick in shown}
    assert client.delete("/v1/blocked-items/item-5").status_code == 204
    assert client.delete("/v1/blocked-items/item-5").status_code == 404
    assert client.put("/v1/blocked-items/nope").status_code == 404


def test_vouches_and_blocks_are_taken_back_by_their_own_name(client, me) -> None:
    assert client.put(f"/v1/vouches/{PEER}", json={"level": 3}).status_code == 204
    assert client.get("/v1/vouches").json() == {"vouches": [{"peer": PEER, "level": 3, "at": NOW}]}
    assert client.get("/v1/trust?limit=1").json() == me.trust_graph(1).as_json()
    assert client.delete(f"/v1/blocks/{PEER}").status_code == 404, "it is a vouch"
    assert client.delete(f"/v1/vouches/{PEER}").status_code == 204
    assert client.put(f"/v1/blocks/{PEER}").status_code == 204
    assert client.get("/v1/blocks").json() == {"blocks": [{"peer": PEER, "at": NOW}]}
    assert client.get("/v1/vouches").json() == {"vouches": []}
    assert client.delete(f"/v1/vouches/{PEER}").status_code == 404, "it is a block"
    assert client.delete(f"/v1/blocks/{PEER}").status_code == 204
    assert client.put(f"/v1/vouches/{me.peer_id.hex()}", json={"level": 1}).status_code == 422
    for peer in ("abc", PEER.upper(), PEER + "0", f"{PEER}%0A"):
        assert client.put(f"/v1/vouches/{peer}", json={"level": 1}).status_code == 422
    for level in (0, 4, 1.5, "1", None, True):
        assert client.put(f"/v1/vouches/{PEER}", json={"level": level}).status_code == 422


def test_the_device_says_who_it_is_and_what_it_runs(client, me) -> None:
    _record(client, "item-1")
    client.put(f"/v1/vouches/{PEER}", json={"level": 3})
    assert client.get("/v1/me").json() == {
        "peer": me.peer_id.hex(),
        "addresses": [],
        "namespace": "golden",
        "events": 1,
        "records": 0,
        "vouches": 1,
        "blocks": 0,
        "blocked_items": 0,
        "trusted": 1,
    }
    assert client.get("/v1/model").json() == me.model.as_json()
    metrics = client.get("/v1/metrics").json()
    assert metrics["latencies"]["record"]["calls"] == 1
    assert metrics["network"] is None
    text = client.get("/metrics").text
    assert "meritrec_events 1\n" in text
    assert 'meritrec_call_milliseconds_count{operation="record"} 1\n' in text
    offline = client.post("/v1/sharing/publication")
    assert (offline.status_code, offline.json()["type"]) == (409, "urn:meritrec:problem:not-connected")


def test_what_is_shared_is_chosen_shown_and_withdrawn(client, me) -> None:
    _record(client, "item-1", "item-2")
    assert client.get("/v1/sharing").json() == me.sharing.as_json() == SharingPolicy.PRIVATE.as_json()
    chosen = {"level": "items", "deny_items": ["item-2"], "max_items": 5.0, "epoch_days": 7}
    answer = client.put("/v1/sharing", json=chosen)
    assert answer.status_code == 200
    assert me.sharing == SharingPolicy.from_json(chosen | {"max_items": 5})
    assert client.get("/v1/sharing").json() == me.sharing.as_json()
    told = client.get("/v1/sharing/published").json()
    assert told == answer.json() == me.shared().as_json()
    assert [item["item"] for item in told["would_publish"]["items"]] == ["item-1"]
    assert [(held["item"], held["why"]) for held in told["withheld"]] == [("item-2", "denied")]
    for wrong in (
        {"level": "all"},
        {"levels": "items"},
        {"epsilon": 0},
        {"max_items": 65},
        {"actions": ["skip"]},
        "items",
    ):
        assert client.put("/v1/sharing", json=wrong).status_code == 422
    unknown = client.put("/v1/sharing", json={"level": "items", "deny_categories": ["western"]})
    assert (unknown.status_code, unknown.json()["type"]) == (422, "urn:meritrec:problem:invalid-input")
    assert client.get("/v1/sharing").json()["level"] == "items"
    assert client.post("/v1/sharing/withdrawal").json() == {"withdrawn": True}
    assert me.sharing == SharingPolicy.PRIVATE


def test_a_model_is_updated_and_taken_back(client, tmp_path: Path) -> None:
    assert client.post("/v1/model/rollback").status_code == 409
    for source, status in (
        (str(tmp_path / "nothing"), 404),
        (str(tmp_path), 422),
        ("x" * 4096, 404),
        (str(BUNDLE), 422),
        ("", 422),
        ("a\x00b", 422),
    ):
        assert client.post("/v1/model/updates", json={"source": source}).status_code == status, source
    for wrong in ({}, {"peer": PEER, "sha256": "0" * 64}, {"peer": PEER, "source": str(DELTA)}, {"sha256": "0" * 64}):
        assert client.post("/v1/model/updates", json=wrong).status_code == 422, wrong
    assert client.post("/v1/model/updates", json={"peer": PEER}).status_code == 409, "not in the network"
    tampered = shutil.copytree(DELTA, tmp_path / "delta")
    (tampered / "added.bin").write_bytes(b"?")
    assert client.post("/v1/model/updates", json={"source": str(tampered)}).status_code == 422
    done = client.post("/v1/model/updates", json={"source": str(DELTA)})
    assert done.json() == {"kind": "catalog", "before": 1, "version": 1, "items": 49, "answer_ms": None}
    assert _record(client, "new").status_code == 200


def test_a_request_sent_again_is_done_once(client, me) -> None:
    first = _record(client, "item-1", headers={"Idempotency-Key": "one"})
    again = _record(client, "item-1", headers={"Idempotency-Key": "one"})
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert me.count_events() == 1
    other = _record(client, "item-2", headers={"Idempotency-Key": "one"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:meritrec:problem:key-used")
    assert _record(client, "item-2", headers={"Idempotency-Key": "two"}).status_code == 200
    assert me.count_events() == 2
    for key in ("", "with space", "x" * 256):
        assert _record(client, "item-2", headers={"Idempotency-Key": key}).status_code == 422


def test_a_failed_request_may_be_tried_again_with_its_key(client, me) -> None:
    headers = {"Idempotency-Key": "one"}
    assert _record(client, "nope", headers=headers).status_code == 404
    assert _record(client, "item-1", headers=headers).status_code == 200
    assert me.count_events() == 1


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, b"{}", 415),
        ({"Content-Type": "text/plain"}, b"{}", 415),
        ({"Content-Type": "application/json; charset=latin-1"}, b"{}", 415),
        ({"Content-Type": "application/jsonp"}, b"{}", 415),
        ({"Content-Type": "application/json"}, b"{", 400),
        ({"Content-Type": "application/json"}, b"", 400),
        ({"Content-Type": "application/json; charset=utf-8"}, b"{}", 422),
        ({"Content-Type": "Application/JSON"}, b"{}", 422),
    ],
)
def test_bodies_that_are_refused(client, headers: dict[str, str], body: bytes, status: int) -> None:
    answer = client.post("/v1/events", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_long_bodies_are_refused_declared_or_not(call, me) -> None:
    client = call(limits=HttpLimits(body_bytes=100))
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"events": [{"item": "item-1"}] * 10}).encode()
    assert client.post("/v1/events", content=body, headers=headers).status_code == 413
    assert client.post("/v1/events", content=iter([body[:90], body[90:]]), headers=headers).status_code == 413
    assert me.count_events() == 0


def test_unknown_addresses_and_methods_are_problems(client) -> None:
    missing = client.get("/v1/nothing")
    assert (missing.status_code, missing.json()["type"]) == (404, "urn:meritrec:problem:path")
    wrong = client.patch("/v1/events", json={})
    assert (wrong.status_code, wrong.json()["type"]) == (405, "urn:meritrec:problem:method")
    assert {method.strip() for method in wrong.headers["Allow"].split(",")} == {"POST", "DELETE"}
    assert client.get("/v1/events/").status_code == 404
    head = client.head("/v1/recommendations")
    assert (head.status_code, head.content) == (200, b"")


def test_what_nobody_expected_is_logged_and_not_told(client, me, monkeypatch, caplog) -> None:
    def broken() -> int:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(me, "count_events", broken)
    with caplog.at_level(logging.ERROR, "meritrec.http"):
        answer = client.get("/healthz")
    assert (answer.status_code, answer.json()["type"]) == (500, "urn:meritrec:problem:unexpected")
    assert "secret" not in answer.text
    assert "/secret/path" in caplog.text


def test_more_requests_than_places_are_put_off(call, me, monkeypatch) -> None:
    running, go_on = threading.Event(), threading.Event()

    def held() -> int:
        running.set()
        assert go_on.wait(60)
        return 0

    monkeypatch.setattr(me, "count_events", held)
    client = call(limits=HttpLimits(threads=1, waiting=0))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(client.get("/healthz").status_code))
    thread.start()
    assert running.wait(60)
    refused = client.get("/v1/model")
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:meritrec:problem:busy")
    assert refused.headers["Retry-After"] == "1"
    go_on.set()
    thread.join(60)
    assert answers == [200]
    assert client.get("/v1/model").status_code == 200, "the place is free again"


def test_a_closed_device_answers_503(client, me) -> None:
    me.close()
    for path in ("/healthz", "/v1/recommendations", "/v1/me", "/v1/metrics", "/metrics", "/v1/model"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:meritrec:problem:closed"), path


def _family(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(_family(sub) for sub in kind.__subclasses__()))


@pytest.mark.parametrize("kind", sorted(_family(SDKError) | _family(DeviceError) | _family(P2PError), key=str))
def test_every_error_of_the_device_is_a_problem(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = ("what happened; what to do",)
    problem = problem_of(error)
    assert problem is not None
    assert problem.detail == "what happened; what to do"
    assert problem.status in TITLES
    first = next(status for known, status, _ in STATUS_OF_ERROR if issubclass(kind, known))
    assert problem.status == first


def test_the_special_errors_stand_before_the_general_ones() -> None:
    kinds = [kind for kind, _, _ in STATUS_OF_ERROR]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, before) for before in kinds[:place]), kind


def test_a_full_disk_is_named(client, me, monkeypatch) -> None:
    def full(_events: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(me, "record_many", full)
    answer = _record(client, "item-1")
    assert (answer.status_code, answer.json()["type"]) == (507, "urn:meritrec:problem:disk-full")


def test_every_status_of_every_operation_has_a_title() -> None:
    assert {status for route in ROUTES for status in route.statuses} <= set(TITLES)
    with pytest.raises(KeyError):
        Problem(418, "teapot", "").as_json()


def test_what_a_request_asks_of_the_model_reaches_it(client, me, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[object, object]] = []

    def ranked(self: ModelRanker, *_: object, ask: object, priors: object, **__: object) -> list[tuple[int, float]]:
        told.append((ask, priors))
        return [(3, -1.0)]

    assert client.get("/v1/steerable").json() == {"asks": [], "priors": {}, "categories": []}
    monkeypatch.setattr(
        ModelRanker, "steering", property(lambda _: Steering(("novelty",), 5, ("short",), {"short": 0.5}, ("a=b",)))
    )
    monkeypatch.setattr(ModelRanker, "rank_rows", ranked)
    assert client.get("/v1/steerable").json() == {"asks": ["novelty"], "priors": {"short": 0.5}, "categories": ["a=b"]}
    params = [("ask", "novelty=0.9"), ("prior", "short=-1"), ("prior", "taxonomy:a=b=2.5")]
    assert client.get("/v1/recommendations", params=params).status_code == 200
    assert told == [(Ask(novelty=0.9), {"short": -1.0, "taxonomy:a=b": 2.5})]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("ask=novelty=0.9", "not trained for any asks"),
        ("prior=short=1", "no prior 'short'"),
        ("ask=joy=0.9", "ask names one of"),
        ("ask=novelty=much", "NAME=NUMBER"),
        ("ask=novelty=nan", "from 0 to 1, got nan"),
        ("ask=novelty", "ask"),
        ("prior==1", "prior"),
        ("prior=short=1&prior=short=2", "names 'short' twice"),
    ],
)
def test_wishes_that_cannot_be_met_are_problems(client, query: str, says: str) -> None:
    answer = client.get(f"/v1/recommendations?{query}")
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
