"""One page that a person can read: what was simulated, a figure for each question, and a sentence under each.

Self-contained: no script, no font, no picture from elsewhere. Of several results, each figure shows all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape

from sdk.simulation.plots import HOURS, KILOBYTES, SCORE, SHARE, SMALL_SHARE, TIMES, Axis, Series, Unit, chart
from sdk.simulation.results import Moment, Result, compared

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2129;--soft:#5b6472;--paper:#fff;--grid:#dfe3e8;
--c0:#1f5fbf;--c1:#b3471d;--c2:#2b7a3d;--c3:#7a3fa0;--c4:#8a6a00;--c5:#0f7c86}
@media (prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#a4adba;--paper:#15181d;--grid:#333a44;
--c0:#7fb0ff;--c1:#ff9d73;--c2:#83d197;--c3:#cfa0f0;--c4:#e2c25a;--c5:#6fd0da}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
body{max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:2rem 0 .3rem}p{margin:.3rem 0}
.soft{color:var(--soft);fill:var(--soft)}svg{width:100%;height:auto;display:block}
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
    """A question, the chart that answers it, and the answer in a sentence for each result, by its name."""

    question: str
    drawing: str
    answers: tuple[tuple[str, str], ...]


def report_page(results: Sequence[Result]) -> str:
    """Return the page of one result, or of several side by side."""
    title = results[0].name if len(results) == 1 else " beside ".join(result.name for result in results)
    named = results if len(results) > 1 else [replace(results[0], name="")]
    figures = "".join(
        f"<section><h2>{escape(f.question)}</h2>{f.drawing}{_told(f.answers)}</section>" for f in figures_of(named)
    )
    scenarios = "".join(
        f"<h2>Scenario: {escape(result.name)}</h2><pre>{escape(result.scenario)}</pre>" for result in results
    )
    versions = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in sorted(result.versions.items())) for result in results
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>{_told([(result.name, _head(result)) for result in named])}"
        f"<h2>At the end</h2>{_table(results)}{figures}{scenarios}"
        f'<p class="soft">Simulated with {escape("; ".join(versions))}.</p></main></body></html>\n'
    )


def _told(answers: Sequence[tuple[str, str]]) -> str:
    """Return a paragraph each, with the result's name before it."""
    return "".join(f"<p>{f'<b>{escape(name)}</b>: ' if name else ''}{escape(said)}</p>" for name, said in answers)


def _head(result: Result) -> str:
    kinds = ", ".join(dict.fromkeys(result.attacks))
    attacks = f"Attacks: {kinds}." if kinds else "Nobody attacks."
    kind = (
        "Every message is simulated."
        if result.fidelity == "protocol"
        else "Only rankings are computed: everything published is known to everybody."
    )
    origin = result.origin[:1].upper() + result.origin[1:]
    return " ".join(filter(None, (result.text, f"{origin}.", attacks, kind)))


def figures_of(results: Sequence[Result]) -> Iterator[Figure]:
    """Yield every figure that the results have rows for; a result without a name needs none."""
    yield _over_time(
        results, "How good are the recommendations?", [("NDCG", lambda m: m.ndcg), ("Recall", lambda m: m.recall)],
        SCORE, lambda result, end, start: (
            f"Of what people like and nobody was told, the first {result.k} places find {end.recall:.1%} "
            f"(NDCG {end.ndcg:.3f})" + ("." if end is start else f"; at the first look it was {start.recall:.1%}.")
        ),
    )  # fmt: skip
    attacked = [result for result in results if result.attacks]
    if attacked:
        yield _over_time(
            attacked, "How much spam do people see?", [("spam", lambda m: m.spam)], SMALL_SHARE,
            lambda result, end, _: (
                f"At the end {end.spam:.2%} of the items shown, {result.k} a person at most, are an attacker's."
            ),
        )  # fmt: skip
        yield _over_time(
            attacked, "How much trust do attackers hold?", [("attackers", lambda m: m.attackers)], SMALL_SHARE,
            lambda _, end, __: f"Attackers' identities hold {end.attackers:.2%} of the trust that a person gives out.",
        )  # fmt: skip
        yield _over_time(
            attacked, "What do Sybils gain, beside the bound?",
            [("largest gain", lambda m: m.gain), ("bound", lambda m: m.bound)], TIMES,
            lambda _, end, __: (
                f"Identities that no honest person vouches for get at most {end.gain:.2f} times the share of a "
                f"person's walks that reach the attackers whom people know; the bound is {end.bound:.2f}."
            ),
        )  # fmt: skip
    sent = [result for result in results if result.traffic]
    if sent:
        yield from _network_figures(sent)
    yield from _sweeps(results)


def _network_figures(results: Sequence[Result]) -> Iterator[Figure]:
    yield _over_time(
        results, "Does everybody learn what is published?",
        [("records known", lambda m: m.known), ("online", lambda m: m.online)], SHARE,
        lambda _, end, start: (
            f"A device holds the records of {end.known:.1%} of those who publish"
            + ("; " if end is start else f", {start.known:.1%} at the first look; ") +
            f"{end.online:.0%} of the devices are online."
        ),
    )  # fmt: skip
    yield _over_time(
        results, "What does it cost a device in traffic?",
        [("received", lambda m: m.kb_in), ("sent", lambda m: m.kb_out)], KILOBYTES,
        lambda _, end, __: (
            f"A device received {end.kb_in:,.0f} KB and sent {end.kb_out:,.0f} KB in {end.hour:g} hours, without what "
            f"the transport adds; it refused {end.refused:,.0f} messages and records."
        ),
    )  # fmt: skip
    yield _over_time(
        results, "What does it cost a device in memory?", [("records and walks", lambda m: m.memory_kb)],
        KILOBYTES, lambda _, end, __: (
            f"{end.records:,.0f} records and the walks take {end.memory_kb:,.0f} KB on a device."
        ),
    )  # fmt: skip


def _over_time(
    results: Sequence[Result],
    question: str,
    values: Sequence[tuple[str, Callable[[Moment], float]]],
    unit: Unit,
    answer: Callable[[Result, Moment, Moment], str],
) -> Figure:
    series, answers = [], []
    for result in results:
        moments = result.moments()
        prefix = f"{result.name}: " if result.name else ""
        series += [
            Series(prefix + name, tuple((moment.hour, value(moment)) for moment in moments)) for name, value in values
        ]
        answers.append((result.name, answer(result, moments[-1], moments[0])))
    return Figure(question, chart(question, series, HOURS, unit), tuple(answers))


def _sweeps(results: Sequence[Result]) -> Iterator[Figure]:
    for name, other in (("alpha", "beta"), ("beta", "alpha")):
        series, answers = [], []
        for result in results:
            points = [setting for setting in result.sweep if getattr(setting, other) == getattr(result, other)]
            points.sort(key=lambda setting: getattr(setting, name))
            if len(points) < 2:
                continue
            prefix = f"{result.name}: " if result.name else ""
            for what, said in (("ndcg", "NDCG"), ("spam", "spam")):
                line = tuple((getattr(point, name), getattr(point, what)) for point in points)
                series.append(Series(prefix + said, line))
            best = max(points, key=lambda setting: setting.ndcg)
            sentence = (
                f"NDCG is best at {name} {getattr(best, name):g} ({best.ndcg:.3f}, spam {best.spam:.2%}); "
                f"least spam is {min(point.spam for point in points):.2%}."
            )
            answers.append((result.name, sentence))
        if series:
            question = f"What does {name} trade between trust and relevance?"
            yield Figure(question, chart(question, series, Axis(name), SCORE), tuple(answers))


def _table(results: Sequence[Result]) -> str:
    head = "".join(f"<th>{escape(result.name)}</th>" for result in results)
    body = "".join(
        f"<tr><td>{escape(name)}</td>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        for name, cells in compared(results)
    )
    devices = "; what devices hold and send, over all of them" if any(result.traffic for result in results) else ""
    note = f"Means over the people judged, ± their standard error{devices}. Of the gains, the largest."
    if len(results) > 1:
        note += " Runs with the same seed and people share their chance: their difference is surer than the errors say."
    return (
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        f'<p class="soft">{note}</p>'
    )
