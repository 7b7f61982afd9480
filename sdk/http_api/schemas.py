"""JSON Schemas of what the API takes and answers, by name: requests are checked against them, answers described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from p2p import MAX_ITEM_EDGES, MAX_TRUST_EDGES
from sdk.actions import ACTION_NAMES
from sdk.publication import Why
from sdk.recommendation import FilterKind, ReasonKind
from sdk.sharing import MAX_EPSILON, SPEAKING_ACTIONS, SharingLevel, SharingPolicy

Schema = Mapping[str, Any]
_LATEST = 4_102_444_799  # the last second that an event may have
MAX_EVENTS = 1000  # in one request
MAX_LISTED = 4096  # items or categories of a policy


def reference(name: str) -> Schema:
    """Return a reference to a named schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items: Schema, **bounds: int) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **bounds}


def record(properties: Mapping[str, Schema], *, optional: frozenset[str] = frozenset(), **more: Any) -> dict[str, Any]:
    """Return the schema of an object that has these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
        **more,
    }


def or_null(kind: str) -> Schema:
    """Return the schema of a value that may be missing."""
    return {"type": [kind, "null"]}


def within(least: int, most: int) -> Schema:
    """Return the schema of a whole number between two bounds."""
    return {"type": "integer", "minimum": least, "maximum": most}


def one_of(kinds: type[Enum]) -> Schema:
    """Return the schema of an enumeration's values."""
    return {"type": "string", "enum": [kind.value for kind in kinds]}


TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
ITEM: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
CATEGORY: Schema = {"type": "string", "minLength": 1, "maxLength": 1024}
WISH: Schema = {"type": "string", "pattern": "^.+=[^=]+$", "maxLength": 1100}
HEX: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
PEER = HEX
SOURCE: Schema = {"type": "string", "minLength": 1, "maxLength": 4096, "pattern": "^[^\\x00-\\x1f]+$"}
TIME: Schema = {"type": "integer", "minimum": 0, "maximum": _LATEST}
LEVEL: Schema = {"type": "integer", "minimum": 1, "maximum": 3}
ACTIONS = (*ACTION_NAMES, "purchase")
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}

COMPONENTS: dict[str, Schema] = {
    "Problem": record(
        {
            "type": TEXT,
            "title": TEXT,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": TEXT,
            "faults": array(record({"at": TEXT, "message": TEXT})),
        },
        optional=frozenset({"faults"}),
    ),
    "Event": record(
        {"item": ITEM, "action": {"type": "string", "enum": list(ACTIONS), "default": "like"}, "at": TIME},
        optional=frozenset({"action", "at"}),
        description="what the person did with an item; now, unless `at` says otherwise",
    ),
    "Events": record({"events": array(reference("Event"), minItems=1, maxItems=MAX_EVENTS)}),
    "Reason": record(
        {"kind": one_of(ReasonKind), "text": TEXT, "items": array(TEXT), "peers": array(PEER)},
        description="why, in one sentence; `items` are of the person's own history",
    ),
    "Recommendation": record(
        {
            "item": TEXT,
            "title": TEXT,
            "score": NUMBER,
            "model_rank": or_null("integer"),
            "peer_rank": or_null("integer"),
            "model_share": or_null("number"),
            "reasons": array(reference("Reason"), minItems=1),
        },
        description="ranks are places in the model's own list and in that of trusted peers, null where not listed",
    ),
    "Recommendations": record({"recommendations": array(reference("Recommendation"))}),
    "Steerable": record(
        {
            "asks": array(TEXT),
            "priors": {"type": "object", "additionalProperties": NUMBER},
            "categories": array(TEXT),
        },
        description="all empty for a model that cannot be steered",
    ),
    "Reasons": record({"reasons": array(reference("Reason"), minItems=1)}),
    "Filtered": record(
        {"item": TEXT, "title": TEXT, "kind": one_of(FilterKind), "text": TEXT, "peers": array(PEER)},
        description="an item that the ranking would have shown, and why it did not",
    ),
    "Level": record({"level": LEVEL}, description="1 a little, 3 a lot"),
    "Vouch": record({"peer": PEER, "level": LEVEL, "at": COUNT}),
    "Block": record({"peer": PEER, "at": COUNT}),
    "Me": record(
        {
            "peer": PEER,
            "addresses": array(TEXT),
            "namespace": TEXT,
            "events": COUNT,
            "records": COUNT,
            "vouches": COUNT,
            "blocks": COUNT,
            "blocked_items": COUNT,
            "trusted": COUNT,
        },
        description="this device: `peer` is the key that others vouch for; without addresses it is not in the network",
    ),
    "Forgotten": record(
        {"events": COUNT, "opinions": COUNT, "blocked_items": COUNT, "published": FLAG},
        description="`published`: peers had been told of it, and are told otherwise now or at the next connection",
    ),
    "TrustGraph": record(
        {
            "trusted": COUNT,
            "nodes": array(
                record(
                    {"peer": PEER, "score": SHARE, "me": FLAG, "direct": FLAG, "blocked": FLAG, "items": COUNT},
                )
            ),
            "edges": array(record({"source": PEER, "target": PEER, "level": LEVEL})),
        }
    ),
    "Model": record(
        {
            "namespace": TEXT,
            "version": COUNT,
            "created_at": COUNT,
            "expires_at": COUNT,
            "expired": FLAG,
            "head": TEXT,
            "backend": TEXT,
            "quantization": TEXT,
            "runtime": TEXT,
            "items": COUNT,
            "bytes": COUNT,
            "metrics": {"type": "object", "additionalProperties": NUMBER},
            "publishers": array(PEER),
        }
    ),
    "ModelSource": record(
        {"source": SOURCE, "sha256": HEX, "peer": PEER},
        optional=frozenset({"source", "sha256", "peer"}),
        oneOf=[{"required": ["source"]}, {"required": ["peer"], "not": {"required": ["sha256"]}}],
        description="a bundle or a catalog's update: a folder or zip on the device, an http(s) address of a zip (with "
        "its sha256, if known), or a connected peer that offers its model",
    ),
    "ModelUpdate": record(
        {
            "kind": {"type": "string", "enum": ["model", "catalog"]},
            "before": COUNT,
            "version": COUNT,
            "items": COUNT,
            "answer_ms": or_null("number"),
        }
    ),
    "SharingPolicy": record(
        {
            "level": one_of(SharingLevel),
            "actions": array({"type": "string", "enum": sorted(SPEAKING_ACTIONS)}),
            "categories": {"type": ["array", "null"], "items": CATEGORY, "maxItems": MAX_LISTED},
            "deny_categories": array(CATEGORY, maxItems=MAX_LISTED),
            "deny_items": array(ITEM, maxItems=MAX_LISTED),
            "max_items": within(0, MAX_ITEM_EDGES),
            "max_vouches": within(0, MAX_TRUST_EDGES),
            "new_per_epoch": within(1, MAX_ITEM_EDGES),
            "epoch_days": within(1, 366),
            "epsilon": {"type": ["number", "null"], "minimum": 0.01, "maximum": MAX_EPSILON},
            "truth": {"type": "number", "minimum": 0.05, "maximum": 0.95},
            "made_up": {"type": "number", "minimum": 1, "maximum": MAX_ITEM_EDGES},
            "renew_days": within(30, 36_500),
        },
        optional=frozenset(field.name for field in fields(SharingPolicy)),
        description="what peers are told; what is left out has its default, and the default level is private",
    ),
    "Shared": record(
        {
            "version": COUNT,
            "day": COUNT,
            "items": array(
                record(
                    {
                        "item": or_null("string"),
                        "key": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
                        "level": LEVEL,
                        "day": COUNT,
                        "made_up": FLAG,
                    }
                )
            ),
            "vouches": array(record({"peer": PEER, "level": LEVEL})),
        },
        description="the content of a record as peers see it; version 0 is not published",
    ),
    "Publication": record(
        {
            "policy": reference("SharingPolicy"),
            "community": TEXT,
            "peer": PEER,
            "pending": FLAG,
            "published": reference("Shared"),
            "would_publish": reference("Shared"),
            "withheld": array(
                record(
                    {"item": TEXT, "peer": PEER, "why": {"type": "string", "enum": [why.name.lower() for why in Why]}}
                    | {"text": TEXT},
                    optional=frozenset({"item", "peer"}),
                )
            ),
            "editions": array(record({"version": COUNT, "day": COUNT, "items": COUNT, "vouches": COUNT})),
            "ever_told": array(TEXT),
            "epsilon_spent": {"type": "number", "minimum": 0},
        },
        description="what has been published, what would be, and what is held back and why",
    ),
    "Latency": record({"calls": COUNT, "failed": COUNT, "p50_ms": NUMBER, "p99_ms": NUMBER}),
    "Metrics": record(
        {
            "uptime_s": NUMBER,
            "latencies": {"type": "object", "additionalProperties": reference("Latency")},
            "events": COUNT,
            "records": COUNT,
            "model_version": COUNT,
            "model_expired": FLAG,
            "rollbacks": COUNT,
            "peak_rss_bytes": COUNT,
            "network": or_null("object"),
        }
    ),
}
