"""The report's sections on people: the network as the newcomer sees it, the lists, and what the attack did to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from examples.demo.report_html import Html, el, html, listed, percent, some, table
from examples.demo.report_svg import Bar, bars, stripes, trust_graph
from examples.demo.results import ListName, ListRow, Results, SpamShares, Viewpoint

_SHOWN_HISTORY = 8
_HEADINGS: Mapping[ListName, str] = {
    "model": "Model alone",
    "peers_on": "Trust walk alone",
    "blend_on": "Blended",
    "peers_off": "Trust walk, MeritRank off",
    "blend_off": "Blended, MeritRank off",
}
_READINGS: tuple[tuple[ListName, str, str, str], ...] = (
    ("model", "Model alone", "ours", "The model on the device's own history. Peers cannot write to it."),
    ("peers_on", "Trust walk, MeritRank on", "on", "What neighbours vouch for, weighted by how far each is trusted."),
    (
        "peers_off",
        "Trust walk, MeritRank off",
        "off",
        "The same records walked without connectivity decay or trust weights.",
    ),
    ("blend_on", "Blended, MeritRank on", "on", "The list a person sees: the model and the protected walk together."),
    ("blend_off", "Blended, MeritRank off", "off", "The list a person would see with the unprotected walk."),
)


def network(results: Results) -> Html:
    """Return the trust graph and the trust that the newcomer's device computes from it."""
    net, view = results["network"], _newcomer(results)
    trust = {entry["peer"]: entry["score"] for entry in view["trust"]}
    graphs = [
        trust_graph(f"graph-{way}", "Who vouches for whom", net["peers"], net["edges"], trust, upright=way == "upright")
        for way in ("across", "upright")
    ]
    names = {peer["peer"]: peer["name"] for peer in net["peers"]}
    friends = listed([names[edge["target"]] for edge in net["edges"] if edge["source"] == view["peer"]])
    said = (
        f"Arrows are vouches, thicker for a higher level. The larger a mark, the more {view['name']}'s device trusts that "
        "peer; the number is its trust."
    )
    story = f"{view['name']} is the {view['role']} and vouches for {friends or 'nobody'}. "
    if fooled := _fooled(results):
        story += (
            f"{listed(fooled)} {'was' if len(fooled) == 1 else 'were'} fooled into vouching for the attacker: the dashed "
            "arrow is the only way from honest people to the Sybils."
        )
    return html(
        el("p", story),
        el("figure", *graphs, _legend(), el("figcaption", said)),
        _trust_bars(view),
    )


def _trust_bars(view: Viewpoint) -> Html:
    """Everyone but the Sybils one by one; of those the best, for all that the others are worth."""
    sybils = sorted((t["score"] for t in view["trust"] if t["role"] == "sybil"), reverse=True)
    rows = [
        Bar(
            f"{t['name']}, {t['role']}",
            t["score"],
            f"{t['score']:.3f}",
            "hostile" if t["role"] == "attacker" else "ours",
        )
        for t in view["trust"]
        if t["role"] != "sybil"
    ]
    if sybils:
        rows.append(Bar(f"best of {some(len(sybils), 'Sybil')}", sybils[0], f"{sybils[0]:.3f}", "hostile"))
    if not rows:
        return el("p", f"{view['name']}'s device trusts nobody yet.")
    picture = bars("trust", f"Trust as {view['name']}'s device computes it", rows, max(row.value for row in rows))
    said = (
        "Each bar is a peer's MeritRank score: the share of walks that reach it, less what depends on a single go-between. "
        "Striped bars are the attacker's."
    )
    return el("figure", el("h3", f"Trust as {view['name']}'s device computes it"), picture, el("figcaption", said))


def _legend() -> Html:
    def mark(role: str, *shapes: Html) -> Html:
        return el("svg", el("g", *shapes, class_=role), width=22, height=22, aria_hidden="true")

    diamond = "M11 2l9 9l-9 9l-9-9z"
    ring = (el("circle", cx=11, cy=11, r=8, class_="disc"), el("circle", cx=11, cy=11, r=3.5, class_="pupil"))
    entries = (
        (mark("newcomer", *ring), "newcomer: ring"),
        (mark("regular", el("circle", cx=11, cy=11, r=8, class_="disc")), "regular: disc"),
        (mark("attacker", el("path", d=diamond, class_="diamond")), "attacker: filled diamond"),
        (
            mark("sybil", stripes("legend"), el("path", d=diamond, fill="url(#legend-stripes)", class_="diamond")),
            "Sybil: striped diamond",
        ),
    )
    return el("ul", *(el("li", icon, el("span", text)) for icon, text in entries), class_="legend")


def lists(results: Results) -> Html:
    """Return every shown device's lists side by side, each item with its reasons."""
    spam = listed([f"“{item['title']}”" for item in results["spam_items"]])
    intro = (
        f"Each list is a device's top ten, with the reasons the device gives. The attacker pushes {spam or 'nothing'}; "
        "wherever these appear, this page labels them spam. The devices do not know."
    )
    return html(el("p", intro), *(_viewpoint(view) for view in results["viewpoints"]))


def _viewpoint(view: Viewpoint) -> Html:
    history = [f"{entry['title']} ({entry['action']})" for entry in view["history"][-_SHOWN_HISTORY:]]
    count = some(len(view["history"]), "event")
    told = f"{count[0].upper()}{count[1:]} on the device"
    if history:
        told += f"{', the latest' if len(view['history']) > len(history) else ''}: {', '.join(history)}"
    shown = [_list(view, name) for name in ("model", "peers_on", "blend_on")]
    hidden = [_list(view, name) for name in ("peers_off", "blend_off")]
    return html(
        el("h3", f"{view['name']}, {view['role']}"),
        el("p", f"{told}.", class_="history"),
        el("div", *shown, class_="lists"),
        el(
            "details",
            el("summary", f"{view['name']}'s lists with MeritRank off"),
            el("div", *hidden, class_="lists"),
            class_="off",
        ),
    )


def _list(view: Viewpoint, name: ListName) -> Html:
    rows = view["lists"][name]
    spam = sum(row["spam"] for row in rows)
    note = f"{spam} of {len(rows)} spam" if rows else "empty"
    items = [_item(row, blended=name.startswith("blend")) for row in rows]
    return el("div", el("h4", _HEADINGS[name]), el("p", note), el("ol", *items), class_="list")


def _item(row: ListRow, blended: bool) -> Html:
    why = [*row["reasons"]]
    if blended:
        places = ((row["model_rank"], "model"), (row["peer_rank"], "trust walk"))
        why.append(", ".join(f"{half} {f'no. {rank}' if rank else 'not listed'}" for rank, half in places))
    tag = el("span", "spam", class_="tag") if row["spam"] else Html()
    return el(
        "li",
        el("span", str(row["rank"]), class_="rank"),
        el(
            "div",
            el("span", row["title"] or row["item"], class_="title"),
            tag,
            *(el("span", reason, class_="why") for reason in why),
        ),
        class_="spam" if row["spam"] else None,
    )


def attack(results: Results) -> Html:
    """Return how much of each list the attacker got, with MeritRank on and off."""
    means, shares = mean_shares(results), _shares(results)
    places = max(len(view["lists"][name]) for view in results["viewpoints"] for name in _HEADINGS)
    ceiling = min(1.0, len(results["spam_items"]) / max(1, places))
    rows = [Bar(label, means[name], percent(means[name]), kind) for name, label, kind, _ in _READINGS]
    picture = bars("spam", "Spam in the top ten", rows, max([*means.values(), ceiling]))
    said = (
        f"A bar across the whole width is {percent(max([*means.values(), ceiling]))}: "
        f"{some(len(results['spam_items']), 'spam item')} can take no more of a list of {places}. Mean of "
        f"{some(len(shares), 'device')}; striped bars are without MeritRank."
    )
    reading = [
        html(el("dt", f"{label}: {percent(means[name])}"), el("dd", sentence)) for name, label, _, sentence in _READINGS
    ]
    fooled = _fooled(results)
    by_device = table(
        "Share of spam in each device's top ten.",
        ("device", "model", "walk, on", "walk, off", "blended, on", "blended, off"),
        [
            (
                f"{name} (vouches for the attacker)" if name in fooled else name,
                *(percent(share[n]) for n, *_ in _READINGS),
            )
            for name, share in shares.items()
        ],
    )
    return html(
        el("p", _method(results)),
        el("figure", el("h3", "Share of spam in the top ten"), picture, el("figcaption", said)),
        el("p", _verdict(means), class_="verdict"),
        el("dl", *reading, class_="facts"),
        by_device,
        *(el("p", _limit(name)) for name in fooled),
    )


def mean_shares(results: Results) -> dict[ListName, float]:
    """Return the mean share of spam over the devices, by list."""
    shares = _shares(results).values()
    return {name: sum(share[name] for share in shares) / len(shares) for name in _HEADINGS}


def _shares(results: Results) -> Mapping[str, SpamShares]:
    return results.get("spam_share_by_device") or {view["name"]: view["spam_share"] for view in results["viewpoints"]}


def _method(results: Results) -> str:
    sybils = sum(peer["role"] == "sybil" for peer in results["network"]["peers"])
    return (
        f"The attacker and {some(sybils, 'Sybil')} sign valid records that list the spam at the highest level beside items "
        "that everyone likes, and vouch for one another. On means connectivity decay and an item walk weighted by trust; "
        "off means plain personalised SALSA over the same records."
    )


def _verdict(means: Mapping[ListName, float]) -> Html:
    on, off = percent(means["blend_on"]), percent(means["blend_off"])
    walk_on, walk_off = percent(means["peers_on"]), percent(means["peers_off"])
    walk = html(_compared("In the trust walk", means["peers_on"], means["peers_off"], walk_on, walk_off), " ")
    return html(walk, _compared("In the blended lists", means["blend_on"], means["blend_off"], on, off))


def _compared(where: str, on: float, off: float, on_written: str, off_written: str) -> Html:
    if on_written == off_written:
        return html(f"{where} MeritRank made no difference: ", el("b", f"{on_written} either way"), ".")
    way = "cut spam" if on < off else "came with more spam,"
    return html(f"{where} MeritRank {way} from {off_written} to ", el("b", on_written), ".")


def _limit(name: str) -> Html:
    return html(
        f"{name} vouches for the attacker in person, and so asked for its lists: no walk can undo that, one ",
        el("code", "block"),
        " does.",
    )


def _fooled(results: Results) -> list[str]:
    peers = {peer["peer"]: peer for peer in results["network"]["peers"]}
    honest = ("regular", "newcomer")
    return [
        peers[source]["name"]
        for source in dict.fromkeys(
            edge["source"] for edge in results["network"]["edges"] if peers[edge["target"]]["role"] not in honest
        )
        if peers[source]["role"] in honest
    ]


def _newcomer(results: Results) -> Viewpoint:
    views: Sequence[Viewpoint] = results["viewpoints"]
    return next((view for view in views if view["role"] == "newcomer"), views[0])
