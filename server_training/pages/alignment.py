"""The page of an alignment: curves, what it changed, every setting; readable while it is under way.

Everything comes from the run's folder, so the page can be written again at any time. Until the alignment is finished
the page asks the browser to load it again every few seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from server_training.errors import TrainingError
from server_training.files import write_atomically
from server_training.pages.curves import curve
from server_training.pages.training import STYLE, table, written

ALIGN_PAGE_FILE = "align.html"
_AGAIN_S = 5


def write_alignment_page(folder: Path) -> Path:
    """Write the page of an alignment, finished or not, into its folder and return its path.

    Raises:
        TrainingError: the folder's files are missing or damaged.
    """
    try:
        content = json.loads((folder / "align.json").read_text())
        rounds = [json.loads(line) for line in (folder / "align.jsonl").read_text().splitlines()]
        page = _page(folder.name, content, rounds)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise TrainingError(f"{folder} holds no alignment ({error}); run `meritrec-server align` again") from error
    write_atomically(folder / ALIGN_PAGE_FILE, page.encode())
    return folder / ALIGN_PAGE_FILE


def _page(name: str, content: Mapping[str, Any], rounds: Sequence[Mapping[str, Any]]) -> str:
    settings, done = content["settings"], content["finished"]
    metric = settings["train"]["metric"]
    best = max(rounds, key=lambda row: row["valid"][metric])
    minutes = sum(row["cpu_seconds"] for row in rounds) / 60
    parts = [
        f"<h1>Alignment {escape(name)}</h1>",
        f"<p>{'Finished' if done else 'Under way'}: {escape(settings['objective']['name'])} from "
        f"{escape(settings['run'])}, {rounds[-1]['steps']} of at most {settings['train']['steps']} steps, "
        f"{minutes:.1f} CPU minutes. Best validation {escape(metric)} <b>{best['valid'][metric]:.4f}</b> after "
        f"{best['steps']} steps; {rounds[0]['valid'][metric]:.4f} at the start.</p>",
        f"<h2>Curves</h2><div class=curves>{''.join(_curves(rounds))}</div>",
    ]
    measured = [(key, written(value)) for key, value in rounds[-1]["rewards"].items()]
    if measured:
        parts += ["<h2>Learned reward</h2>", table(("", ""), measured)]
    if done:
        parts += ["<h2>Before and after</h2>", _report(content["report"])]
    parts.append("<h2>Settings</h2>")
    for section in ("objective", "sampler", "rewards", "train"):
        rows = [(key, written(value)) for key, value in settings[section].items()]
        parts.append(f"<h3>{section}</h3>{table(('', ''), rows)}")
    again = "" if done else f'<meta http-equiv="refresh" content="{_AGAIN_S}">'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Alignment {escape(name)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _curves(rounds: Sequence[Mapping[str, Any]]) -> list[str]:
    drawn = (
        ("Validation NDCG@10", "ndcg@10", "{:.4f}"),
        ("Validation Recall@10", "recall@10", "{:.4f}"),
        ("Loss per moment", "loss", "{:.3f}"),
        ("Mean reward per item drawn", "reward", "{:.4f}"),
        ("KL to the reference", "kl", "{:.4f}"),
        ("Lists that had what came next", "hits", "{:.3f}"),
        ("Moments that taught something", "informative", "{:.3f}"),
    )
    figures = []
    for title, key, form in drawn:
        values = [(row["steps"], row["valid"].get(key, row.get(key))) for row in rounds]
        points = [(float(steps), float(value)) for steps, value in values if value is not None]
        if points:
            figures.append(f"<figure><figcaption>{title}</figcaption>{curve(title, points, form, 'step')}</figure>")
    return figures


def _report(report: Mapping[str, Any]) -> str:
    before, after = report["before"], report["after"]
    rows: list[tuple[str, ...]] = [
        (name, f"{old:.4f}", f"{after[part][name]:.4f}", f"{after[part][name] - old:+.4f}", _interval(report, name))
        for part in ("accuracy", "lists")
        for name, old in before[part].items()
    ]
    weights = before["neighbour_weight"], after["neighbour_weight"]
    rows.append(("neighbours' weight", *(f"{weight:.1f}" for weight in weights), f"{weights[1] - weights[0]:+.1f}", ""))
    caption = f"{report['users']:,} users, test events, the whole catalog ranked, seen items removed."
    return table(("", "before", "after", "change", "95 % paired bootstrap"), rows, caption)


def _interval(report: Mapping[str, Any], name: str) -> str:
    gap = report["gains"].get(name)
    return "" if gap is None else f"{gap['low']:+.4f} to {gap['high']:+.4f}"
