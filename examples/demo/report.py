"""The demo's report: one HTML file without scripts and without a single request to anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from examples.demo.report_graph import bars, curve, trust_graph
from examples.demo.report_style import STYLE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_SHOWN_LISTS = (
    ("model", "The model alone"),
    ("peers_on", "The trust walk alone"),
    ("blend_on", "Blended"),
    ("peers_off", "The trust walk, MeritRank off"),
    ("blend_off", "Blended, MeritRank off"),
)


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report, whole or not at all.

    Raises:
        KeyError: `results` lacks something.
    """
    sections = (_glance, _quality, _network, _lists, _attack, _devices, _made)
    body = "\n".join(section(results) for section in sections)
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>meritrec demo</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(page, encoding="utf-8")
    temporary.replace(path)


def _glance(r: Mapping[str, Any]) -> str:
    s = r["summary"]
    sybils = sum(p["role"] == "sybil" for p in r["network"]["peers"])
    with_, without = s["spam_share_blended_with_decay"], s["spam_share_blended_without_decay"]
    knn = s["baselines"]["item-kNN"]["recall_at_10"]
    lead = (
        f"A model of {s['pte_bytes'] / 1024:.0f} KiB, trained on {_e(r['data']['name'])}, puts the next item into its top "
        f"ten for {s['recall_at_10']:.1%} of people; item-kNN does for {knn:.1%}. It ran in {s['devices'] - 1} device "
        f"processes beside one attacker with {sybils} fake identities. Gossip brought every record to every device in "
        f"{s['convergence_s']:.1f} seconds. Of the blended top tens, {with_:.1%} was spam with MeritRank and "
        f"{without:.1%} without it."
    )
    cards = (
        (f"{s['recall_at_10']:.3f}", "Recall@10 of the int8 program"),
        (f"{s['ndcg_at_10']:.3f}", "NDCG@10 of the int8 program"),
        (f"{s['pte_bytes'] / 1024:.0f} KiB", "program on the device"),
        (f"{s['recommend_p50_ms']:.1f} ms", "one blended answer, median"),
        (f"{s['device_rss_mb']:.0f} MB", "largest device, network included"),
        (f"{s['convergence_s']:.1f} s", "until all devices agreed"),
    )
    boxes = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for value, name in cards)
    return f'<section id="glance"><h1>meritrec, end to end</h1><p class="lead">{lead}</p><div class="cards">{boxes}</div></section>'


def _quality(r: Mapping[str, Any]) -> str:
    rows = r["evaluation"]["rows"]
    largest = max(row["recall_at_10"] for row in rows)
    picture = bars(
        [(row["name"], row["recall_at_10"], "us" if "meritrec" in row["name"] else "other") for row in rows],
        largest,
        "{:.4f}",
        "Recall@10 by model",
    )
    table = _table(
        ("model", "Recall@10", "NDCG@10"),
        [(row["name"], f"{row['recall_at_10']:.4f}", f"{row['ndcg_at_10']:.4f}") for row in rows],
        f"{r['evaluation']['n_users']} users, the full catalog ranked for each; {r['evaluation']['seen_rule']}; "
        f"{r['evaluation']['split_rule']}.",
    )
    t, b = r["training"], r["bundle"]
    return (
        '<section id="quality"><h2>The model</h2>'
        f"<figure>{picture}<figcaption>Share of people whose held-out last item is in the top ten. The last bar is what a "
        "device runs: int8, through ExecuTorch, decoded by beam search over semantic IDs.</figcaption></figure>"
        f'<div class="scroll">{table}</div>'
        f"<figure>{curve(t['curve'])}<figcaption>Training loss over {t['epochs']} epochs in {t['seconds']:.0f} "
        f"seconds on the CPU, {t['parameters']:,} parameters; the numbers on the line are validation NDCG@10.</figcaption>"
        f"</figure><p>The exported program differs from PyTorch on the same int8 weights by at most "
        f"{b['pte_max_abs_diff']:.4f}, and from the float model by at most {b['pte_max_abs_diff_float']:.4f}; its top-ten "
        f"lists share {b['top10_overlap']:.1%} of their items with exact float scoring.</p></section>"
    )


def _network(r: Mapping[str, Any]) -> str:
    roles = {p["peer"]: p["role"] for p in r["network"]["peers"]}
    edges = [{**e, "sham": roles[e["source"]] in ("attacker", "sybil")} for e in r["network"]["edges"]]
    newcomer = next(v for v in r["viewpoints"] if v["role"] == "newcomer")
    trust = {t["peer"]: t["score"] for t in newcomer["trust"]}
    ranked = [(t["name"], t["role"], f"{t['score']:.3f}") for t in newcomer["trust"][:10]]
    table = _table(
        ("peer", "is", "trust"), ranked, f"Whom {newcomer['name']}'s device trusts most, from one vouch of its own."
    )
    return (
        '<section id="network"><h2>The network</h2>'
        f"<figure>{trust_graph(r['network']['peers'], edges, trust)}<figcaption>Arrows are vouches, thicker for higher "
        f"levels. Circles are people, the ring is the newcomer; squares are the attacker and the Sybils it invented. "
        f"{_e(r['fooled'])} was fooled into vouching for the attacker.</figcaption></figure>"
        f'<div class="scroll">{table}</div></section>'
    )


def _lists(r: Mapping[str, Any]) -> str:
    views = "".join(_view(view) for view in r["viewpoints"])
    spam = ", ".join(_e(item["title"]) for item in r["spam_items"])
    return (
        '<section id="lists"><h2>What people see</h2>'
        f"<p>Each line says why it is there. The spam is {spam}: films that hardly anyone in the data rated.</p>{views}</section>"
    )


def _view(view: Mapping[str, Any]) -> str:
    liked = [row["title"] for row in view["history"] if row["action"] == "like"][:6]
    boxes = "".join(_list(heading, view["lists"][name], view["spam_share"][name]) for name, heading in _SHOWN_LISTS)
    return (
        f"<h3>{_e(view['name'])}, {_e(view['role'])}</h3><p class='soft'>{len(view['history'])} events on the device; liked "
        f"{_e(', '.join(liked)) or 'nothing yet'}.</p><div class='lists'>{boxes}</div>"
    )


def _list(heading: str, rows: Sequence[Mapping[str, Any]], share: float) -> str:
    items = "".join(
        f"<li>{_e(row['title'])}{' <span class=tag>spam</span>' if row['spam'] else ''}"
        f"<small>{_e('; '.join(row['reasons']))}</small></li>"
        for row in rows
    )
    return f"<div class='list'><h4>{heading} <span class='soft'>({share:.0%} spam)</span></h4><ol>{items}</ol></div>"


def _attack(r: Mapping[str, Any]) -> str:
    shares = r["spam_share_by_device"]
    mean = {key: sum(s[key] for s in shares.values()) / len(shares) for key, _ in _SHOWN_LISTS}
    rows = [
        ("trust walk, MeritRank on", mean["peers_on"], "on"),
        ("trust walk, MeritRank off", mean["peers_off"], "off"),
        ("blended, MeritRank on", mean["blend_on"], "on"),
        ("blended, MeritRank off", mean["blend_off"], "off"),
    ]
    table = _table(
        ("device", "walk, on", "walk, off", "blended, on", "blended, off"),
        [
            (
                f"{name} (vouches for the attacker)" if name == r["fooled"] else name,
                *(f"{s[key]:.0%}" for key in ("peers_on", "peers_off", "blend_on", "blend_off")),
            )
            for name, s in shares.items()
        ],
        "Share of spam in each device's top ten.",
    )
    picture = bars(rows, max([*mean.values(), 0.1]), "{:.1%}", "Spam in the top ten")
    return (
        '<section id="attack"><h2>The attack</h2><p>Every Sybil signs a valid record that lists the spam at the highest level '
        "beside ten films that everyone likes, and vouches for its siblings. MeritRank off means the same walks without "
        "connectivity decay and without trust weights: plain personalised SALSA.</p>"
        f"<figure>{picture}<figcaption>Share of spam in the top ten, mean of all devices. Three of ten is the most the "
        f'attacker can reach with three items.</figcaption></figure><div class="scroll">{table}</div>'
        f"<p>{_e(r['fooled'])} vouches for the attacker personally, and so chose to listen: no walk can undo that, one "
        "<code>block</code> does.</p></section>"
    )


def _devices(r: Mapping[str, Any]) -> str:
    rows = [
        (
            d["name"],
            d["runtime"],
            f"{d['startup_s'] * 1e3:.0f} ms",
            f"{d['recommend_p50_ms']:.1f} / {d['recommend_p95_ms']:.1f} ms",
            f"{d['rss_mb']:.0f} MB",
            str(d["records"]),
            f"{d['bytes_in'] / 1024:.0f} / {d['bytes_out'] / 1024:.0f} KiB",
        )
        for d in r["network"]["devices"]
    ]
    table = _table(
        ("device", "runtime", "open", "recommend p50 / p95", "memory", "records", "in / out"),
        rows,
        f"Each device is a process of its own; {r['network']['records_total']} signed records, converged after "
        f"{r['network']['convergence_s']:.1f} s. Traffic counts protocol messages, not transport overhead.",
    )
    return f'<section id="devices"><h2>The devices</h2><div class="scroll">{table}</div></section>'


def _made(r: Mapping[str, Any]) -> str:
    facts = {
        "data": f"{r['data']['name']}: {r['data']['users']:,} users, {r['data']['items']:,} items, "
        f"{r['data']['interactions']:,} interactions",
        "terms": r["data"]["terms"],
        "data SHA-256": r["data"]["sha256"],
        "bundle": f"{r['bundle']['bundle_bytes'] / 1024:.0f} KiB, {r['bundle']['quantization']}, signed by "
        f"{r['bundle']['publisher_key']}",
        "ties": r["evaluation"]["tie_rule"],
        "versions": ", ".join(f"{name} {version}" for name, version in r["versions"].items()),
        "made": f"{r['created_at']}, in {r['seconds']:.0f} s, by make demo",
    }
    rows = "".join(f"<dt>{_e(name)}</dt><dd>{_e(value)}</dd>" for name, value in facts.items())
    return f'<section id="made"><h2>How this was made</h2><dl>{rows}</dl></section>'


def _table(head: Iterable[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    top = "".join(f'<th scope="col">{_e(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_e(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{_e(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _e(text: str) -> str:
    return escape(text, quote=True)
