"""What the demo found, as one JSON-ready value, and as text for the terminal."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
import time
from collections.abc import Sequence
from typing import Any

from examples.demo.cast import Cast
from examples.demo.network import ATTACKER, Gossiped
from examples.demo.pipeline import Published, Source
from server_training.data.dataset import SequenceData
from server_training.evaluation.full_ranking import SEEN_REMOVED
from server_training.evaluation.report import MODEL

Results = dict[str, Any]
_PACKAGES = ("torch", "executorch", "libp2p", "numpy", "cryptography")
LISTS = {
    "model": "model alone",
    "peers_on": "trust walk, MeritRank on",
    "peers_off": "trust walk, MeritRank off",
    "blend_on": "blended, MeritRank on",
    "blend_off": "blended, MeritRank off",
}


def make_results(
    source: Source,
    everyone: SequenceData,
    cast: Cast,
    published: Published,
    gossiped: Gossiped,
    shown: Sequence[str],
    seconds: float,
) -> Results:
    """Join everything that was measured."""
    views = {part.name: _viewpoint(everyone, cast, gossiped, part.name) for part in cast.parts}
    viewpoints = [views[name] for name in shown]
    titles = dict(zip(everyone.item_ids, everyone.titles, strict=True))
    return {
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": seconds,
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES}
        | {"python": platform.python_version()},
        "data": {
            "name": source.name,
            "terms": source.terms,
            "users": everyone.n_users,
            "items": everyone.n_items,
            "interactions": len(everyone.items),
            "sha256": everyone.sha256,
        },
        "training": {
            "parameters": published.trained.parameters,
            "epochs": len(published.curve),
            "seconds": published.train_seconds,
            "curve": [{k: row[k] for k in ("epoch", "loss", "valid_ndcg_at_10")} for row in published.curve],
            "collision_rate": published.run.info.tokenizer["collision_rate"],
        },
        "evaluation": _evaluation(published),
        "bundle": {
            "pte_bytes": published.export.pte_bytes,
            "bundle_bytes": published.export.bundle_bytes,
            "quantization": "8da8w",
            "pte_max_abs_diff": published.export.verification.max_abs_diff,
            "pte_max_abs_diff_float": published.export.verification.max_abs_diff_float,
            "top10_overlap": published.export.verification.top10_overlap,
            "publisher_key": published.publisher.hex(),
        },
        "network": _network(cast, gossiped),
        "viewpoints": viewpoints,
        "spam_items": [{"item": item, "title": titles[item] or item} for item in cast.spam],
        "spam_share_by_device": {name: view["spam_share"] for name, view in views.items()},
        "fooled": cast.fooled,
        "summary": _summary(published, gossiped, list(views.values())),
    }


def _evaluation(published: Published) -> dict[str, Any]:
    rules = published.evaluation.rules
    rows = [
        {
            "name": "meritrec, float, exact" if name == MODEL else name,
            "recall_at_10": system.metrics()["recall@10"],
            "ndcg_at_10": system.metrics()["ndcg@10"],
        }
        for name, system in published.evaluation.systems.items()
    ]
    device = published.export.verification.device
    rows.append(
        {
            "name": "meritrec, int8 .pte, on the device",
            "recall_at_10": device["recall@10"],
            "ndcg_at_10": device["ndcg@10"],
        }
    )
    return {
        "split_rule": rules.split_rule,
        "seen_rule": SEEN_REMOVED,
        "tie_rule": rules.tie_rule,
        "n_users": rules.n_users,
        "rows": rows,
    }


def _network(cast: Cast, gossiped: Gossiped) -> dict[str, Any]:
    peers = [{"peer": gossiped.hello[p.name]["peer"], "name": p.name, "role": p.role} for p in cast.parts]
    attacker = gossiped.hello[ATTACKER]
    peers.append({"peer": attacker["peer"], "name": ATTACKER, "role": "attacker"})
    peers += [
        {"peer": peer, "name": f"Sybil {number}", "role": "sybil"} for number, peer in enumerate(attacker["sybils"], 1)
    ]
    devices = [
        {
            "name": part.name,
            "role": part.role,
            "peer": gossiped.hello[part.name]["peer"],
            "runtime": gossiped.hello[part.name]["runtime"],
            "startup_s": gossiped.hello[part.name]["startup_s"],
            **gossiped.timing[part.name],
            **{key: gossiped.status[part.name][key] for key in ("records", "bytes_in", "bytes_out")},
        }
        for part in cast.parts
    ]
    return {
        "convergence_s": gossiped.convergence_s,
        "records_total": gossiped.records,
        "peers": peers,
        "edges": [{"source": s, "target": t, "level": level} for s, t, level in gossiped.edges],
        "devices": devices,
    }


def _viewpoint(everyone: SequenceData, cast: Cast, gossiped: Gossiped, name: str) -> dict[str, Any]:
    part = next(p for p in cast.parts if p.name == name)
    titles = dict(zip(everyone.item_ids, everyone.titles, strict=True))
    names = {gossiped.hello[p.name]["peer"]: (p.name, p.role) for p in cast.parts}
    attacker = gossiped.hello[ATTACKER]
    names[attacker["peer"]] = (ATTACKER, "attacker")
    names |= {peer: (f"Sybil {n}", "sybil") for n, peer in enumerate(attacker["sybils"], 1)}
    answer = gossiped.lists[name]
    lists = {
        kind: [{**row, "spam": row["item"] in cast.spam, "reasons": _named(row["reasons"], names)} for row in rows]
        for kind, rows in answer["lists"].items()
    }
    return {
        "name": name,
        "role": part.role,
        "peer": gossiped.hello[name]["peer"],
        "trust": [
            {"peer": peer, "name": names[peer][0], "role": names[peer][1], "score": score}
            for peer, score in answer["trust"]
        ],
        "history": [{"title": titles[item] or item, "action": action} for item, action, _ in part.events],
        "lists": lists,
        "spam_share": {kind: spam_share(rows) for kind, rows in lists.items()},
    }


def spam_share(rows: Sequence[dict[str, Any]]) -> float:
    """Return the share of spam among the rows of a list."""
    return sum(row["spam"] for row in rows) / len(rows) if rows else 0.0


def _named(reasons: Sequence[str], names: dict[str, tuple[str, str]]) -> list[str]:
    """Put names where a device, which knows none, wrote the beginning of a public key."""
    for peer, (name, _) in names.items():
        reasons = [reason.replace(peer[:8], name) for reason in reasons]
    return list(reasons)


def _summary(published: Published, gossiped: Gossiped, viewpoints: Sequence[dict[str, Any]]) -> dict[str, Any]:
    device = published.export.verification.device
    baselines = {
        name: {"recall_at_10": system.metrics()["recall@10"], "ndcg_at_10": system.metrics()["ndcg@10"]}
        for name, system in published.evaluation.systems.items()
        if name != MODEL
    }
    exact = published.evaluation.systems[MODEL].metrics()
    timing = gossiped.timing.values()
    return {
        "recall_at_10": device["recall@10"],
        "ndcg_at_10": device["ndcg@10"],
        "recall_at_10_float": exact["recall@10"],
        "ndcg_at_10_float": exact["ndcg@10"],
        "baselines": baselines,
        "pte_bytes": published.export.pte_bytes,
        "pte_max_abs_diff": published.export.verification.max_abs_diff,
        "pte_max_abs_diff_float": published.export.verification.max_abs_diff_float,
        "devices": len(gossiped.hello),
        "spam_share_blended_with_decay": statistics.mean(v["spam_share"]["blend_on"] for v in viewpoints),
        "spam_share_blended_without_decay": statistics.mean(v["spam_share"]["blend_off"] for v in viewpoints),
        "spam_share": {v["name"]: v["spam_share"] for v in viewpoints},
        "convergence_s": gossiped.convergence_s,
        "recommend_p50_ms": statistics.median(t["recommend_p50_ms"] for t in timing),
        "device_rss_mb": max(t["rss_mb"] for t in timing),
    }


def print_lists(results: Results) -> None:
    """Print every list with its reasons, and the figures."""
    for view in results["viewpoints"]:
        print(f"\n{view['name']}, {view['role']}, {len(view['history'])} events on the device")
        for kind in LISTS:
            rows = view["lists"][kind]
            print(f"\n  {LISTS[kind]}: {view['spam_share'][kind]:.0%} spam")
            for row in rows:
                mark = "  <- SPAM" if row["spam"] else ""
                print(f"  {row['rank']:3d}. {row['title'][:44]:<44} {'; '.join(row['reasons'])}{mark}")
    print("\ndevice    recommend p50 / p95      memory   records   opened in")
    for d in results["network"]["devices"]:
        print(
            f"  {d['name']:<8} {d['recommend_p50_ms']:5.1f} / {d['recommend_p95_ms']:4.1f} ms  {d['rss_mb']:9.0f} MiB"
            f"  {d['records']:8d}  {d['startup_s'] * 1e3:7.0f} ms"
        )
    summary = results["summary"]
    print("\nspam in the blended top ten, MeritRank on / off:")
    for name, share in results["spam_share_by_device"].items():
        note = "  (vouches for the attacker)" if name == results["fooled"] else ""
        print(f"  {name:<8} {share['blend_on']:4.0%} / {share['blend_off']:4.0%}{note}")
    print(
        f"\n{summary['devices']} devices, converged in {summary['convergence_s']:.1f} s, recommend "
        f"{summary['recommend_p50_ms']:.1f} ms, {summary['device_rss_mb']:.0f} MiB at most; spam in the blended lists "
        f"{summary['spam_share_blended_with_decay']:.0%} with MeritRank, "
        f"{summary['spam_share_blended_without_decay']:.0%} without"
    )
