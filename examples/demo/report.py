"""The demo's report: one HTML file without scripts and without a single request to anywhere.

Every sentence that states a figure, or which of two is larger, is made from the results.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from examples.demo.report_html import Html, el, facts, html, kib, listed, percent, signed, some, table
from examples.demo.report_people import attack, lists, mean_shares, network
from examples.demo.report_style import STYLE
from examples.demo.report_svg import Bar, bars, line
from examples.demo.results import Results, check_results

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_MANY_POINTS = 8


def write_report(results: Mapping[str, Any], path: Path) -> None:
    """Write the report, whole or not at all.

    Args:
        results: what the demo found, as :class:`examples.demo.results.Results` has it.
        path: the HTML file; an older one is replaced.

    Raises:
        ValueError: `results` lacks something or holds something else than expected; the message names the place.
        OSError: the file cannot be written.
    """
    page = render(check_results(results))
    staged = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        staged.write_text(page, encoding="utf-8")
        staged.replace(path)
    finally:
        staged.unlink(missing_ok=True)


def render(results: Results) -> str:
    """Return the whole page."""
    sections = (
        ("glance", "At a glance", _glance(results)),
        ("quality", "The model", _quality(results)),
        ("network", "The network", network(results)),
        ("lists", "What people see", lists(results)),
        ("attack", "The attack", attack(results)),
        ("devices", "The devices", _devices(results)),
        ("made", "How this was made", _made(results)),
    )
    links = [el("li", el("a", heading, href=f"#{key}")) for key, heading, _ in sections]
    contents = el("nav", el("ol", *links), aria_label="Sections")
    body = [
        el("section", _heading(number, key, text), content, id=key, aria_labelledby=f"{key}-heading")
        for number, (key, text, content) in enumerate(sections, 1)
    ]
    when = _moment(results["created_at"])
    head = html(
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"meritrec demo, {when}"),
        el("style", Html(STYLE)),
    )
    footer = el("footer", f"Made by meritrec's demo on {when}. This page loads nothing and runs no script.")
    page = html(el("header", _opening(results, when), contents), el("main", *body), footer)
    return f"<!doctype html>\n{el('html', el('head', head), el('body', page), lang='en')}\n"


def _heading(number: int, key: str, text: str) -> Html:
    return el("h2", el("span", str(number), class_="number"), el("span", text), id=f"{key}-heading")


def _opening(results: Results, when: str) -> Html:
    summary, net = results["summary"], results["network"]
    people = some(len(net["devices"]), "device")
    sybils = sum(peer["role"] == "sybil" for peer in net["peers"])
    attackers = sum(peer["role"] == "attacker" for peer in net["peers"])
    fakes = some(sybils, "fake identity", "fake identities")
    title = (f"{people[0].upper()}{people[1:]},", f"{some(attackers, 'attacker')},", fakes)
    rivals = listed([f"{percent(row['recall_at_10'])} for {name}" for name, row in summary["baselines"].items()])
    shares = mean_shares(results)
    lead = html(
        f"A recommender trained on {results['data']['name']} was shrunk to ",
        el("b", kib(summary["pte_bytes"])),
        f" and ran in {people}, each a process of its own. It puts what a person chose next into its top ten for ",
        el("b", percent(summary["recall_at_10"])),
        f" of {results['evaluation']['n_users']:,} people, against {rivals}. " if rivals else " of people. ",
        "Over libp2p the devices told one another what they vouch for, and ",
        el("b", f"{summary['convergence_s']:.1f} seconds"),
        f" after the first connection all held the same {net['records_total']} signed records. Meanwhile an attacker "
        f"pushed {some(len(results['spam_items']), 'item')} through {fakes}. The trust walk by itself "
        "gave the spam ",
        el("b", percent(shares["peers_on"])),
        f" of its top-ten places with MeritRank on and {percent(shares['peers_off'])} with it off; in the blended lists, "
        "the ones people see, it got ",
        el("b", percent(summary["spam_share_blended_with_decay"])),
        f" and {percent(summary['spam_share_blended_without_decay'])}.",
    )
    return html(
        el("p", el("b", "meritrec"), f" demo report, {when}", class_="eyebrow"),
        el("h1", *(html(el("span", phrase), " ") for phrase in title)),
        el("p", lead, class_="lead"),
    )


def _glance(results: Results) -> Html:
    summary, bundle, net = results["summary"], results["bundle"], results["network"]
    best = max((row["recall_at_10"] for row in summary["baselines"].values()), default=0.0)
    beside = f"{summary['recall_at_10'] / best:.2f} times the best baseline" if best else "no baseline to compare with"
    cards = (
        ("Recall@10 on the device", f"{summary['recall_at_10']:.3f}", f"NDCG@10 {summary['ndcg_at_10']:.3f}; {beside}"),
        (
            "Model program",
            kib(summary["pte_bytes"]),
            f"{results['training']['parameters']:,} parameters, {bundle['quantization']}; whole bundle "
            f"{kib(bundle['bundle_bytes'])}",
        ),
        (
            "Largest drift from PyTorch",
            f"{summary['pte_max_abs_diff']:.4f}",
            "of any output, same int8 weights, on 64 histories",
        ),
        ("One blended answer", f"{summary['recommend_p50_ms']:.1f} ms", "median of the devices' medians, warm"),
        ("Memory", f"{summary['device_rss_mb']:.0f} MiB", "largest device process, network included"),
        (
            "Agreement",
            f"{summary['convergence_s']:.1f} s",
            f"until every device held all {net['records_total']} records",
        ),
        (
            "Spam, MeritRank on",
            percent(summary["spam_share_blended_with_decay"]),
            "of the blended lists' places, mean of the devices",
        ),
        (
            "Spam, MeritRank off",
            percent(summary["spam_share_blended_without_decay"]),
            "the same with plain personalised SALSA",
        ),
    )
    boxes = [
        el(
            "div",
            el("dt", name),
            el("dd", figure, class_="figure"),
            el("dd", context, class_="context"),
            class_="card",
        )
        for name, figure, context in cards
    ]
    return el("dl", *boxes, class_="cards")


def _quality(results: Results) -> Html:
    evaluation, training, bundle = results["evaluation"], results["training"], results["bundle"]
    baselines = results["summary"]["baselines"]
    rows = evaluation["rows"]
    picture = bars(
        "recall",
        "Recall@10 by ranker",
        [
            Bar(
                row["name"],
                row["recall_at_10"],
                percent(row["recall_at_10"]),
                "other" if row["name"] in baselines else "ours",
            )
            for row in rows
        ],
        max(row["recall_at_10"] for row in rows),
    )
    own = [row for row in rows if row["name"] not in baselines]
    cost = ""
    if len(own) > 1:
        change = own[-1]["recall_at_10"] - own[0]["recall_at_10"]
        cost = f" Going from “{own[0]['name']}” to “{own[-1]['name']}” changes it by {signed(100 * change)} points."
    metrics = table(
        f"The same rankers in figures: {evaluation['n_users']:,} people, {results['data']['items']:,} items, each person's "
        "whole catalog ranked.",
        ("ranker", "Recall@10", "NDCG@10"),
        [(row["name"], f"{row['recall_at_10']:.4f}", f"{row['ndcg_at_10']:.4f}") for row in rows],
    )
    said = (
        "Each bar is the share of people whose held-out last item is among the ranker's first ten; grey bars are the "
        f"baselines.{cost}"
    )
    drift = (
        f"The exported program differs from PyTorch on the same int8 weights by at most {bundle['pte_max_abs_diff']:.4f} in "
        f"any output, and from the float model by at most {bundle['pte_max_abs_diff_float']:.4f}. Its top-ten lists "
        f"share {percent(bundle['top10_overlap'])} of their items with exact float scoring. {percent(training['collision_rate'])} "
        "of the items had no semantic ID of their own at first and were given another."
    )
    return html(
        el("figure", el("h3", "Recall@10"), picture, el("figcaption", said)),
        metrics,
        _training(results),
        el("p", drift),
    )


def _training(results: Results) -> Html:
    training = results["training"]
    curve = training["curve"]
    loss = [(epoch["epoch"], epoch["loss"]) for epoch in curve]
    valid = [(e["epoch"], e["valid_ndcg_at_10"]) for e in curve if e["valid_ndcg_at_10"] is not None]
    ends = sorted({0, len(loss) - 1})
    plots = [el("div", el("h3", "Training loss"), line("loss", "Training loss by epoch", loss, "{:.2f}", ends))]
    said = f"The training loss went from {loss[0][1]:.2f} to {loss[-1][1]:.2f}"
    if valid:
        best = max(range(len(valid)), key=lambda place: valid[place][1])
        marks = sorted({0, best, len(valid) - 1}) if len(valid) > _MANY_POINTS else range(len(valid))
        drawn = line("valid", "Validation NDCG@10 by epoch", valid, "{:.3f}", list(marks))
        plots.append(el("div", el("h3", "Validation NDCG@10"), drawn))
        said += f"; NDCG@10 on held-out validation items was best after epoch {valid[best][0]}, {valid[best][1]:.3f}"
    said += (
        f". {training['epochs']} epochs took {training['seconds']:.0f} seconds for {training['parameters']:,} parameters; "
        "each curve has its own scale."
    )
    return el("figure", el("div", *plots, class_="pair"), el("figcaption", said))


def _devices(results: Results) -> Html:
    net = results["network"]
    rows = [
        (
            f"{device['name']}, {device['role']}",
            device["runtime"],
            f"{1e3 * device['startup_s']:.0f} ms",
            f"{device['recommend_p50_ms']:.1f} ms",
            f"{device['recommend_p95_ms']:.1f} ms",
            f"{device['rss_mb']:.0f} MiB",
            f"{device['records']:,}",
            f"{kib(device['bytes_in'])}",
            f"{kib(device['bytes_out'])}",
        )
        for device in net["devices"]
    ]
    slowest = max(net["devices"], key=lambda device: device["recommend_p95_ms"])
    said = (
        f"Every device is a process with its own key, store and copy of the bundle. {net['convergence_s']:.1f} seconds after "
        f"the first dial, each held all {net['records_total']} records. The slowest 95th percentile of a blended answer was "
        f"{slowest['recommend_p95_ms']:.1f} ms, on {slowest['name']}'s device."
    )
    head = ("device", "runtime", "opens in", "answer, p50", "answer, p95", "memory", "records", "received", "sent")
    caption = (
        "Measured one device after the other, warm. Traffic counts protocol messages, without the transport's overhead."
    )
    return html(el("p", said), table(caption, head, rows, numeric_from=2, label="Devices"))


def _made(results: Results) -> Html:
    data, evaluation, bundle = results["data"], results["evaluation"], results["bundle"]
    size = f": {data['users']:,} users, {data['items']:,} items, {data['interactions']:,} interactions. "
    known = urlsplit(data.get("url", "")).scheme in ("http", "https")
    name = el("a", data["name"], href=data["url"], rel="noreferrer noopener") if known else html(data["name"])
    pairs = (
        ("Data", html(name, size, "The people shown here were left out of training.")),
        ("Terms", data["terms"]),
        ("Data, SHA-256", el("span", data["sha256"], class_="mono")),
        ("Split", evaluation["split_rule"]),
        ("Seen items", evaluation["seen_rule"]),
        ("Ties", evaluation["tie_rule"]),
        ("Bundle", f"{kib(bundle['bundle_bytes'])}, {bundle['quantization']}, signed by the publisher key below"),
        ("Publisher key", el("span", bundle["publisher_key"], class_="mono")),
        ("Versions", ", ".join(f"{package} {version}" for package, version in results["versions"].items())),
        ("Run", f"{_moment(results['created_at'])}, {results['seconds']:.0f} seconds from data to report"),
    )
    commands = (
        "make demo                                          # this report, again, on the same data\n"
        'make demo DEMO_ARGS="--data my-events.csv"         # the same on your own data\n'
        "make test                                          # every check and test"
    )
    return html(facts(pairs), el("p", "From a fresh clone:"), el("pre", el("code", commands), tabindex="0"))


def _moment(iso: str) -> str:
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError as error:
        raise ValueError(f"expected results.created_at in ISO 8601, found {iso!r}") from error
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".rstrip()
