"""The API: every operation in one table, from which it is served, checked, described and documented."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from sdk.http_api import operations as do
from sdk.http_api.openapi import describe
from sdk.http_api.route import Call, Json, Parameter, Route, Schema
from sdk.http_api.schemas import CATEGORY, COUNT, FLAG, ITEM, PEER, SHARE, TEXT, WISH, array, record, reference
from sdk.recommender import Recommender

_UPDATE_PATIENCE_S = 600.0
_ID = Parameter("id", "path", ITEM, "id of an item in the model's catalog")
_PEER = Parameter("peer", "path", PEER, "public key of a peer, 64 hex digits")


def _query(name: str, schema: Schema, summary: str, *, required: bool = False) -> Parameter:
    return Parameter(name, "query", schema, summary, required)


def _up_to(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _some(name: str, schema: Schema, summary: str) -> Parameter:
    return _query(name, array(schema, minItems=1, maxItems=500), f"{summary}; may be repeated")


_K = _query("k", _up_to(1000, 10), "how many")
_FILTERS = (
    _some("category", CATEGORY, "only items of one of these categories"),
    _some("not_category", CATEGORY, "no items of these categories"),
    _some("item", ITEM, "only these items"),
    _some("not_item", ITEM, "none of these items"),
    _some("available", ITEM, "items that can be had now; all if not given"),
)
_SHARE_OF = {**SHARE, "default": 0}


def openapi(_me: Recommender, _call: Call) -> Json:
    """Describe the API."""
    return _description()


@cache
def _description() -> Json:
    return describe(ROUTES, version("meritrec"))


_HISTORY = (
    Route(
        "POST",
        "/v1/events",
        "recordEvents",
        "store what the person did: all of the events or, on an error, none; durable when answered",
        do.record_events,
        body=reference("Events"),
        answer=record({"recorded": COUNT}),
        problems=(404, 507),
        keyed=True,
    ),
    Route(
        "DELETE",
        "/v1/events",
        "forgetEverything",
        "remove the whole history, all opinions of peers and blocked items, for good",
        do.forget_everything,
        (_query("everything", {"type": "boolean", "enum": [True]}, "true: yes, all of it", required=True),),
        answer=reference("Forgotten"),
        problems=(507,),
    ),
    Route(
        "DELETE",
        "/v1/items/{id}/events",
        "forgetItem",
        "remove for good what the person did with an item, which the catalog need not hold any more",
        do.forget_item,
        (_ID,),
        answer=reference("Forgotten"),
        problems=(507,),
    ),
    Route(
        "GET",
        "/v1/export",
        "export",
        "everything that the device holds about the person",
        do.export,
        answer={"type": "object", "required": ["format", "exported_at", "peer", "events"]},
    ),
)
_RANKING = (
    Route(
        "GET",
        "/v1/recommendations",
        "recommend",
        "the ranking, best first, with reasons",
        do.recommendations,
        (
            _K,
            _query("source", {"type": "string", "enum": ["blend", "model", "peers"], "default": "blend"}, "which list"),
            _query("exclude_seen", {**FLAG, "default": True}, "leave out items of the person's own history"),
            _query("diversity", _SHARE_OF, "how much difference from the items above counts"),
            _query("explore", _SHARE_OF, "share of the places that are given to items further down"),
            _some("ask", WISH, "more or less than the model would give: NAME=VALUE, 0 to 1, such as novelty=0.9"),
            _some("prior", WISH, "weight of an adapter head: NAME=WEIGHT, such as short=1 or taxonomy:Horror=2"),
            *_FILTERS,
        ),
        answer=reference("Recommendations"),
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/steerable",
        "steerable",
        "what `ask` and `prior` of the ranking may name, and the weights that priors have otherwise",
        do.steerable,
        answer=reference("Steerable"),
    ),
    Route(
        "GET",
        "/v1/recommendations/filtered",
        "filtered",
        "what the ranking would have shown but for filters, blocks, history and trust",
        do.filtered,
        (_query("k", _up_to(1000, 20), "how many"), *_FILTERS),
        answer=record({"filtered": array(reference("Filtered"))}),
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/items/{id}/similar",
        "similar",
        "items like this one",
        do.similar,
        (_ID, _K, *_FILTERS),
        answer=reference("Recommendations"),
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/items/{id}/reasons",
        "explain",
        "what speaks for an item, recommended or not",
        do.reasons,
        (_ID,),
        answer=reference("Reasons"),
        problems=(404,),
    ),
    Route(
        "GET",
        "/v1/blocked-items",
        "blockedItems",
        "items that are never shown",
        do.blocked_items,
        answer=record({"items": array(TEXT)}),
    ),
    Route(
        "PUT",
        "/v1/blocked-items/{id}",
        "blockItem",
        "never show an item again; nobody is told",
        do.block_item,
        (_ID,),
        problems=(404, 507),
    ),
    Route(
        "DELETE",
        "/v1/blocked-items/{id}",
        "unblockItem",
        "show an item again",
        do.unblock_item,
        (_ID,),
        problems=(404, 507),
    ),
)
_PEERS = (
    Route(
        "GET",
        "/v1/me",
        "me",
        "who this device is, where peers reach it, and how much it holds",
        do.about_me,
        answer=reference("Me"),
    ),
    Route(
        "GET",
        "/v1/vouches",
        "vouches",
        "whom the person vouches for",
        do.vouches,
        answer=record({"vouches": array(reference("Vouch"))}),
    ),
    Route(
        "PUT",
        "/v1/vouches/{peer}",
        "vouch",
        "trust a peer: their likes and whom they trust begin to count",
        do.vouch,
        (_PEER,),
        body=reference("Level"),
        problems=(507,),
    ),
    Route("DELETE", "/v1/vouches/{peer}", "unvouch", "take a vouch back", do.unvouch, (_PEER,), problems=(404, 507)),
    Route(
        "GET",
        "/v1/blocks",
        "blocks",
        "whom the person cut off",
        do.blocks,
        answer=record({"blocks": array(reference("Block"))}),
    ),
    Route(
        "PUT",
        "/v1/blocks/{peer}",
        "block",
        "cut a peer off: nothing reaches the rankings through them; nobody is told",
        do.block,
        (_PEER,),
        problems=(507,),
    ),
    Route("DELETE", "/v1/blocks/{peer}", "unblock", "take a block back", do.unblock, (_PEER,), problems=(404, 507)),
    Route(
        "GET",
        "/v1/trust",
        "trust",
        "the trust graph around the person",
        do.trust,
        (_query("limit", _up_to(1000, 100), "how many trusted peers at most"),),
        answer=reference("TrustGraph"),
    ),
)
_SHARING = (
    Route(
        "GET",
        "/v1/sharing",
        "sharing",
        "what peers are told: the policy",
        do.sharing,
        answer=reference("SharingPolicy"),
    ),
    Route(
        "PUT",
        "/v1/sharing",
        "setSharing",
        "choose the policy, durably; nothing is sent before the next publication",
        do.set_sharing,
        body=reference("SharingPolicy"),
        answer=reference("Publication"),
        problems=(507,),
    ),
    Route(
        "GET",
        "/v1/sharing/published",
        "published",
        "exactly what has been published, what would be now, and what is held back and why",
        do.published,
        answer=reference("Publication"),
    ),
    Route(
        "POST",
        "/v1/sharing/withdrawal",
        "withdraw",
        "be private from now on and take back what was published; false: it goes out at the next connection",
        do.withdraw,
        answer=record({"withdrawn": FLAG}),
        problems=(507,),
    ),
    Route(
        "POST",
        "/v1/sharing/publication",
        "publish",
        "tell peers now what the policy allows; a running server does it by itself every ten minutes",
        do.publish,
        answer=record({"published": FLAG}),
        problems=(409,),
    ),
)
_DEVICE = (
    Route("GET", "/v1/model", "model", "the model in use", do.model, answer=reference("Model")),
    Route(
        "POST",
        "/v1/model/updates",
        "updateModel",
        "install a newer model or an update of the catalog, tried first, while requests go on",
        do.update,
        body=reference("ModelSource"),
        answer=reference("ModelUpdate"),
        problems=(404, 409, 507),
        patience_s=_UPDATE_PATIENCE_S,
    ),
    Route(
        "POST",
        "/v1/model/rollback",
        "rollbackModel",
        "go back to the model before the last update",
        do.rollback,
        answer=reference("Model"),
        problems=(409, 422),
    ),
    Route("GET", "/v1/metrics", "metrics", "counts and durations", do.metrics, answer=reference("Metrics")),
    Route(
        "GET",
        "/metrics",
        "prometheus",
        "the same and the network's counts, for Prometheus",
        do.prometheus,
        answer=TEXT,
        media_type="text/plain",
    ),
    Route(
        "GET",
        "/healthz",
        "health",
        "whether the device answers; needs no token",
        do.health,
        answer=record({"status": TEXT}),
    ),
    Route("GET", "/openapi.json", "openapi", "this description; needs no token", openapi, answer={"type": "object"}),
)
ROUTES: tuple[Route, ...] = (*_HISTORY, *_RANKING, *_PEERS, *_SHARING, *_DEVICE)
