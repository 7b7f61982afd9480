"""A made-up result of a demo run, with hostile text wherever data could bring some."""

from __future__ import annotations

from typing import Any

import pytest

HOSTILE = "<script>alert('x')</script> & \"quotes\""
LISTS = ("model", "peers_on", "peers_off", "blend_on", "blend_off")


def _row(rank: int, spam: bool) -> dict[str, Any]:
    reasons = [f"close to {HOSTILE} in your history"]
    row = {"rank": rank, "item": str(rank), "title": f"{HOSTILE} {rank}", "spam": spam, "reasons": reasons}
    return row | {"model_rank": rank, "peer_rank": None}


def _view(name: str, role: str, peer: str) -> dict[str, Any]:
    lists = {kind: [_row(rank, kind.endswith("off") and rank < 3) for rank in range(1, 11)] for kind in LISTS}
    return {
        "name": name,
        "role": role,
        "peer": peer,
        "trust": [{"peer": "a1", "name": HOSTILE, "role": "regular", "score": 0.5}],
        "history": [{"title": HOSTILE, "action": "like"}],
        "lists": lists,
        "spam_share": {kind: 0.2 if kind.endswith("off") else 0.0 for kind in LISTS},
    }


@pytest.fixture
def results() -> dict[str, Any]:
    peers = [
        {"peer": "a1", "name": HOSTILE, "role": "regular"},
        {"peer": "b2", "name": "Nia", "role": "newcomer"},
        {"peer": "c3", "name": "Mallory", "role": "attacker"},
        *({"peer": f"s{n}", "name": f"Sybil {n}", "role": "sybil"} for n in range(30)),
    ]
    edges = [{"source": "b2", "target": "a1", "level": 3}, {"source": "a1", "target": "c3", "level": 2}]
    edges += [{"source": "c3", "target": f"s{n}", "level": 3} for n in range(30)]
    device = {"name": HOSTILE, "role": "regular", "peer": "a1", "runtime": "native", "rss_mb": 100.0, "records": 38}
    device |= {"recommend_p50_ms": 1.0, "recommend_p95_ms": 2.0, "bytes_in": 10, "bytes_out": 20, "startup_s": 0.1}
    views = [_view("Nia", "newcomer", "b2"), _view("Ben", "regular", "a1")]
    return {
        "created_at": "2026-01-01T00:00:00Z",
        "seconds": 100.0,
        "versions": {"torch": "2.13.0"},
        "data": {"name": HOSTILE, "terms": HOSTILE, "users": 9, "items": 9, "interactions": 99, "sha256": "ab"},
        "training": {
            "parameters": 1000,
            "epochs": 2,
            "seconds": 5.0,
            "curve": [
                {"epoch": 1, "loss": 6.0, "valid_ndcg_at_10": None},
                {"epoch": 2, "loss": 5.0, "valid_ndcg_at_10": 0.1},
            ],
            "collision_rate": 0.1,
        },
        "evaluation": {
            "split_rule": "split",
            "seen_rule": "seen",
            "tie_rule": "ties",
            "n_users": 9,
            "rows": [
                {"name": "item-kNN", "recall_at_10": 0.17, "ndcg_at_10": 0.09},
                {"name": "meritrec", "recall_at_10": 0.21, "ndcg_at_10": 0.11},
            ],
        },
        "bundle": {
            "pte_bytes": 1000,
            "bundle_bytes": 2000,
            "quantization": "8da8w",
            "pte_max_abs_diff": 0.01,
            "pte_max_abs_diff_float": 0.05,
            "top10_overlap": 0.97,
            "publisher_key": "ab" * 32,
        },
        "network": {"convergence_s": 1.0, "records_total": 38, "peers": peers, "edges": edges, "devices": [device]},
        "viewpoints": views,
        "spam_items": [{"item": "1", "title": HOSTILE}],
        "spam_share_by_device": {view["name"]: view["spam_share"] for view in views},
        "fooled": "Ben",
        "summary": {
            "recall_at_10": 0.21,
            "ndcg_at_10": 0.11,
            "baselines": {"item-kNN": {"recall_at_10": 0.17, "ndcg_at_10": 0.09}},
            "pte_bytes": 1000,
            "pte_max_abs_diff": 0.01,
            "devices": 8,
            "spam_share_blended_with_decay": 0.0,
            "spam_share_blended_without_decay": 0.2,
            "convergence_s": 1.0,
            "recommend_p50_ms": 1.0,
            "device_rss_mb": 100.0,
        },
    }
