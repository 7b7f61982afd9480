"""The shape of the demo's results: what the report reads, and a check that it is all there.

Knows nothing of HTML, and nothing of how the figures came about.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

Role = Literal["regular", "newcomer", "attacker", "sybil"]
ListName = Literal["model", "peers_on", "peers_off", "blend_on", "blend_off"]


class _DataAlways(TypedDict):
    name: str
    terms: str
    users: int
    items: int
    interactions: int
    sha256: str


class Data(_DataAlways, total=False):
    """The interactions that were trained and replayed; `url` where they come from, if anywhere public."""

    url: str


class Epoch(TypedDict):
    """One pass over the training data; validation is measured after some of them only."""

    epoch: int
    loss: float
    valid_ndcg_at_10: float | None


class Training(TypedDict):
    """How the model was trained; `collision_rate` is the share of items that share their first codes."""

    parameters: int
    epochs: int
    seconds: float
    curve: list[Epoch]
    collision_rate: float


class Accuracy(TypedDict):
    """Full-ranking metrics, 0 to 1."""

    recall_at_10: float
    ndcg_at_10: float


class NamedAccuracy(Accuracy):
    """Metrics of one ranker."""

    name: str


class Evaluation(TypedDict):
    """Every ranker on the same split, and the rules they share."""

    split_rule: str
    seen_rule: str
    tie_rule: str
    n_users: int
    rows: list[NamedAccuracy]


class BundleFacts(TypedDict):
    """The exported bundle; differences are largest absolute ones, overlap is a share."""

    pte_bytes: int
    bundle_bytes: int
    quantization: str
    pte_max_abs_diff: float
    pte_max_abs_diff_float: float
    top10_overlap: float
    publisher_key: str


class Peer(TypedDict):
    """One identity; `peer` is its public key in hexadecimal."""

    peer: str
    name: str
    role: Role


class Vouch(TypedDict):
    """A signed trust edge; level 1 to 3."""

    source: str
    target: str
    level: int


class DeviceFacts(TypedDict):
    """What one device process measured; memory in MiB."""

    name: str
    role: Role
    peer: str
    runtime: str
    rss_mb: float
    recommend_p50_ms: float
    recommend_p95_ms: float
    records: int
    bytes_in: int
    bytes_out: int
    startup_s: float


class Network(TypedDict):
    """Who is there, who vouches for whom, and what it cost."""

    convergence_s: float
    records_total: int
    peers: list[Peer]
    edges: list[Vouch]
    devices: list[DeviceFacts]


class TrustScore(Peer):
    """A peer as another one's device scores it, 0 to 1."""

    score: float


class HistoryEntry(TypedDict):
    """One event of a device's own history."""

    title: str
    action: str


class ListRow(TypedDict):
    """One recommended item; a rank is None where that half did not list it."""

    rank: int
    item: str
    title: str | None
    spam: bool
    reasons: list[str]
    model_rank: int | None
    peer_rank: int | None


class Lists(TypedDict):
    """The five lists of one device; on and off say whether MeritRank was."""

    model: list[ListRow]
    peers_on: list[ListRow]
    peers_off: list[ListRow]
    blend_on: list[ListRow]
    blend_off: list[ListRow]


class SpamShares(TypedDict):
    """Share of spam in each list, 0 to 1."""

    model: float
    peers_on: float
    peers_off: float
    blend_on: float
    blend_off: float


class Viewpoint(TypedDict):
    """What one device sees."""

    name: str
    role: Role
    peer: str
    trust: list[TrustScore]
    history: list[HistoryEntry]
    spam_share: SpamShares
    lists: Lists


class SpamItem(TypedDict):
    """An item that the attacker pushes."""

    item: str
    title: str


class Summary(TypedDict):
    """The figures that `figures.json` repeats."""

    recall_at_10: float
    ndcg_at_10: float
    baselines: dict[str, Accuracy]
    pte_bytes: int
    pte_max_abs_diff: float
    devices: int
    spam_share_blended_with_decay: float
    spam_share_blended_without_decay: float
    convergence_s: float
    recommend_p50_ms: float
    device_rss_mb: float


class _ResultsAlways(TypedDict):
    created_at: str
    seconds: float
    versions: dict[str, str]
    data: Data
    training: Training
    evaluation: Evaluation
    bundle: BundleFacts
    network: Network
    viewpoints: list[Viewpoint]
    spam_items: list[SpamItem]
    summary: Summary


class Results(_ResultsAlways, total=False):
    """Everything; `spam_share_by_device` covers the devices that `viewpoints` does not show."""

    spam_share_by_device: dict[str, SpamShares]


def check_results(results: Mapping[str, Any]) -> Results:
    """Return `results`, typed, once every key and type has been found as it should be.

    Raises:
        ValueError: something is missing, of another type, not finite, empty where one entry is needed, or an edge
            names an unknown peer; the message names the place.
    """
    _check(results, Results, "results")
    checked = cast(Results, results)
    for place, entries in (
        ("training.curve", checked["training"]["curve"]),
        ("evaluation.rows", checked["evaluation"]["rows"]),
        ("network.devices", checked["network"]["devices"]),
        ("viewpoints", checked["viewpoints"]),
    ):
        if not entries:
            raise ValueError(f"expected at least one entry in results.{place}, found none")
    known = {peer["peer"] for peer in checked["network"]["peers"]}
    for edge in checked["network"]["edges"]:
        if missing := {edge["source"], edge["target"]} - known:
            raise ValueError(f"expected every edge to join peers of results.network.peers, found {sorted(missing)}")
    return checked


def _check(value: object, expected: Any, where: str) -> None:
    origin, arguments = get_origin(expected), get_args(expected)
    if is_typeddict(expected):
        _check_keys(value, expected, where)
    elif origin is list:
        for place, entry in enumerate(_of(value, list, where)):
            _check(entry, arguments[0], f"{where}[{place}]")
    elif origin is dict:
        for key, entry in _of(value, Mapping, where).items():
            _check(key, str, f"a key of {where}")
            _check(entry, arguments[1], f"{where}[{key!r}]")
    elif origin is Literal:
        if value not in arguments:
            raise ValueError(f"expected {where} to be one of {', '.join(arguments)}, found {value!r}")
    elif origin in (Union, types.UnionType):
        if value is not None:
            _check(value, next(kind for kind in arguments if kind is not types.NoneType), where)
    else:
        _check_scalar(value, expected, where)


def _check_keys(value: object, expected: Any, where: str) -> None:
    mapping = _of(value, Mapping, where)
    for key, kind in get_type_hints(expected).items():
        if key in mapping:
            _check(mapping[key], kind, f"{where}.{key}")
        elif key in expected.__required_keys__:
            raise ValueError(f"expected {where}.{key}, found no such key")


def _check_scalar(value: object, expected: type, where: str) -> None:
    accepted = (int, float) if expected is float else expected
    if isinstance(value, bool) != (expected is bool) or not isinstance(value, accepted):
        raise ValueError(f"expected {where} to be {expected.__name__}, found {type(value).__name__} {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected {where} to be finite, found {value!r}")


def _of(value: object, kind: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"expected {where} to be a {kind.__name__.lower()}, found {type(value).__name__}")  # noqa: TRY004
    return value
