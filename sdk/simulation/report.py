"""One page that a person can read: what was simulated, a figure for each question, and a sentence under each.

Self-contained: no script, no font, no picture from elsewhere. Of several results, each figure shows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from sdk.simulation.plots import Series, chart
from sdk.simulation.results import Moment, Result

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#5b6472;--paper:#fff;--grid:#dfe3e8;
--c0:#1f5fbf;--c1:#b3471d;--c2:#2b7a3d;--c3:#7a3fa0;--c4:#8a6a00;--c5:#0f7c86}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#a4adba;--paper:#15181d;--grid:#333a44;
--c0:#7fb0ff;--c1:#ff9d73;--c2:#83d197;--c3:#cfa0f0;--c4:#e2c25a;--c5:#6fd0da}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
body{max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}p{margin:.3rem 0}
.soft{color:var(--soft);fill:var(--soft)}svg{width:100%;max-width:46rem;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}svg text.soft{fill:var(--soft)}
.grid{stroke:var(--grid)}path{fill:none;stroke-width:2}
table{border-collapse:collapse;margin:.5rem 0}
th,td{text-align:right;padding:.2rem .7rem;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left}.wide{overflow-x:auto}
pre{background:color-mix(in srgb,var(--ink) 6%,transparent);padding:.8rem;overflow-x:auto}
""" + "".join(
    f".s{n}{{stroke:var(--c{n});fill:none}}circle.s{n}{{fill:var(--c{n})}}svg text.t{n}{{fill:var(--c{n})}}"
    + (f"path.s{n}{{stroke-dasharray:{dash}}}" if dash else "")
    for n, dash in enumerate(["", "7 4", "2 3", "9 3 2 3", "12 4", "4 2"])
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, the chart that answers it, and the answer in a sentence."""

    question: str
    drawing: str
    sentence: str


def report_page(results: Sequence[Result]) -> str:
    """Return the page of one result, or of several side by side."""
    first = results[0]
    title = first.name if len(results) == 1 else " beside ".join(result.name for result in results)
    figures = "".join(
        f"<section><h2>{escape(f.question)}</h2>{f.drawing}<p>{escape(f.sentence)}</p></section>"
        for f in figures_of(results)
    )
    heads = "".join(f"<p>{escape(_head(result))}</p>" for result in results)
    scenarios = "".join(
        f"<h2>Scenario: {escape(result.name)}</h2><pre>{escape(result.scenario)}</pre>" for result in results
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(first.versions.items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{heads}<h2>At the end</h2>{_table(results)}{figures}{scenarios}"
        f'<p class="soft">Simulated with {escape(versions)}.</p></main></body></html>\n'
    )


def _head(result: Result) -> str:
    attacks = ", ".join(dict.fromkeys(result.attacks)) or "nobody attacks"
    kind = "every message simulated" if result.fidelity == "protocol" else "rankings only, everything published known"
    said = f"{result.text} " if result.text else ""
    return f"{said}{result.origin}; {attacks}; {kind}."


def figures_of(results: Sequence[Result]) -> Iterator[Figure]:
    """Yield every figure that the results have rows for."""
    k = results[0].k
    yield _over_time(
        results, "How good are the recommendations?", [("NDCG", lambda m: m.ndcg), ("Recall", lambda m: m.recall)],
        "{:.3f}", lambda end, start: (
            f"Of what people like and nobody was told, the first {k} places find {end.recall:.1%} "
            f"(NDCG {end.ndcg:.3f})" + ("." if end is start else f"; at the first look it was {start.recall:.1%}.")
        ),
    )  # fmt: skip
    if any(result.attacks for result in results):
        yield _over_time(
            results, "How much spam do people see?", [("spam", lambda m: m.spam)], "{:.1%}",
            lambda end, _: f"At the end {end.spam:.1%} of the first {k} places show an attacker's item.",
        )  # fmt: skip
        yield _over_time(
            results, "How much trust do attackers hold?", [("attackers", lambda m: m.attackers)], "{:.1%}",
            lambda end, _: f"Attackers' identities hold {end.attackers:.1%} of the trust that a person gives out.",
        )  # fmt: skip
        yield _over_time(
            results, "What do Sybils gain, beside the bound?",
            [("gain", lambda m: m.gain), ("bound", lambda m: m.bound)], "{:.2f}",
            lambda end, _: (
                f"Identities that nobody vouches for hold at most {end.gain:.2f} times the walks that reach the "
                f"attackers whom people know; the bound is {end.bound:.2f}."
            ),
        )  # fmt: skip
    if any(result.traffic for result in results):
        yield from _network_figures(results)
    yield from _sweeps(results)


def _network_figures(results: Sequence[Result]) -> Iterator[Figure]:
    yield _over_time(
        results, "Does everybody learn what is published?",
        [("known", lambda m: m.known), ("online", lambda m: m.online)], "{:.0%}",
        lambda end, start: (
            f"A device holds the records of {end.known:.1%} of those who publish"
            + ("; " if end is start else f", {start.known:.1%} at the first look; ") +
            f"{end.online:.0%} of the devices are online."
        ),
    )  # fmt: skip
    yield _over_time(
        results, "What does it cost a device in traffic?", [("in", lambda m: m.kb_in), ("out", lambda m: m.kb_out)],
        "{:,.0f} KB", lambda end, _: (
            f"A device received {end.kb_in:,.0f} KB and sent {end.kb_out:,.0f} KB in {end.hour:g} hours, without what "
            f"the transport adds; it refused {end.refused:,.0f} messages and records."
        ),
    )  # fmt: skip
    yield _over_time(
        results, "What does it cost a device in memory?", [("records and walks", lambda m: m.memory_kb)],
        "{:,.0f} KB", lambda end, _: (
            f"{end.records:,.0f} records and the walks take {end.memory_kb:,.0f} KB on a device."
        ),
    )  # fmt: skip


def _over_time(
    results: Sequence[Result],
    question: str,
    values: Sequence[tuple[str, Callable[[Moment], float]]],
    written: str,
    sentence: Callable[[Moment, Moment], str],
) -> Figure:
    series, sentences = [], []
    for result in results:
        moments = result.moments()
        prefix = f"{result.name}: " if len(results) > 1 else ""
        series += [
            Series(prefix + name, tuple((moment.hour, value(moment)) for moment in moments)) for name, value in values
        ]
        sentences.append(prefix + sentence(moments[-1], moments[0]))
    return Figure(question, chart(question, series, "virtual hours", written), " ".join(sentences))


def _sweeps(results: Sequence[Result]) -> Iterator[Figure]:
    for name in ("alpha", "beta"):
        series, sentences = [], []
        for result in results:
            fixed = "beta" if name == "alpha" else "alpha"
            points = sorted(
                (s for s in result.sweep if getattr(s, fixed) == getattr(result, fixed)), key=lambda s: getattr(s, name)
            )
            if len(points) < 2:
                continue
            prefix = f"{result.name}: " if len(results) > 1 else ""
            for what in ("ndcg", "spam"):
                line = tuple((getattr(s, name), getattr(s, what)) for s in points)
                series.append(Series(f"{prefix}{'NDCG' if what == 'ndcg' else 'spam'}", line))
            best = max(points, key=lambda s: s.ndcg)
            sentences.append(
                f"{prefix}NDCG is best at {name} {getattr(best, name):g} ({best.ndcg:.3f}, spam {best.spam:.1%}); "
                f"least spam is {min(s.spam for s in points):.1%}."
            )
        if series:
            question = f"What does {name} trade between trust and relevance?"
            yield Figure(question, chart(question, series, name, "{:.3f}"), " ".join(sentences))


def _table(results: Sequence[Result]) -> str:
    rows: list[tuple[str, Callable[[Moment], str]]] = [
        ("NDCG", lambda m: f"{m.ndcg:.4f}"),
        ("Recall", lambda m: f"{m.recall:.4f}"),
        ("spam shown", lambda m: f"{m.spam:.2%}"),
        ("trust held by attackers", lambda m: f"{m.attackers:.2%}"),
        ("largest gain (bound)", lambda m: f"{m.gain:.2f} ({m.bound:.2f})"),
    ]
    if any(result.traffic for result in results):
        rows += [
            ("records known", lambda m: f"{m.known:.1%}"),
            ("KB in / out per device", lambda m: f"{m.kb_in:,.0f} / {m.kb_out:,.0f}"),
            ("memory per device, KB", lambda m: f"{m.memory_kb:,.0f}"),
        ]
    ends = [result.moments()[-1] for result in results]
    head = "".join(f"<th>{escape(result.name)}</th>" for result in results)
    body = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{escape(written(end))}</td>" for end in ends) + "</tr>"
        for name, written in rows
    )
    return f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
