"""The page of a training run: curves, semantic IDs, evaluation when there is one, and every setting.

Everything comes from the run's folder, so the page can be written again at any time.
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
from server_training.training.logs import LOG_FILE
from server_training.training.run_folder import EVALUATION_FILE, RUN_FILE

PAGE_FILE = "report.html"

STYLE = """
:root{color-scheme:light dark;--paper:#faf9f6;--card:#fff;--ink:#1d2430;--soft:#5a6474;--line:#e0ddd5;--ours:#0f6d61}
@media(prefers-color-scheme:dark){:root{--paper:#12151a;--card:#1a1e25;--ink:#e8e6e1;--soft:#a2aab7;--line:#2e353f;
--ours:#54c3ae}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.6 system-ui,"Segoe UI",Roboto,Arial,sans-serif}
main{max-width:66rem;margin:0 auto;padding:3rem 1.5rem 4rem}
h1{font-size:2rem;line-height:1.2;margin:0}h2{font-size:1.3rem;margin:2.6rem 0 .8rem}
p{max-width:70ch}.soft{color:var(--soft)}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.1rem}
figcaption{font-weight:600;font-size:.92rem}
svg{width:100%;height:auto;overflow:visible}
svg path{fill:none;stroke:var(--ours);stroke-width:2.2;stroke-linejoin:round}
svg circle{fill:var(--card);stroke:var(--ours);stroke-width:2}svg .axis{stroke:var(--line)}
svg text{fill:var(--ink);font-size:11px}svg .soft{fill:var(--soft)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:var(--card);border:1px solid var(--line);font-variant-numeric:tabular-nums}
th,td{padding:.35rem .8rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;font-size:.9rem}
th:first-child,td:first-child{text-align:left}thead th{font-weight:600;color:var(--soft)}
"""


def write_training_page(folder: Path) -> Path:
    """Write the page of a finished run into its folder and return its path.

    Raises:
        TrainingError: the run's files are missing or damaged.
    """
    try:
        info = json.loads((folder / RUN_FILE).read_text())
        log = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
        evaluation = json.loads((folder / EVALUATION_FILE).read_text()) if (folder / EVALUATION_FILE).exists() else None
        page = _page(folder.name, info, log, evaluation)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{folder} holds no whole run ({error}); train again") from error
    write_atomically(folder / PAGE_FILE, page.encode())
    return folder / PAGE_FILE


def _page(name: str, info: Mapping[str, Any], log: Sequence[Mapping[str, Any]], evaluation: Any) -> str:
    seconds = sum(row["seconds"] for row in log)
    parts = [
        f"<h1>Training run {escape(name)}</h1>",
        f"<p>Best validation NDCG@10 <b>{info['best_valid_ndcg_at_10']:.4f}</b> after {info['epochs']} epochs, "
        f"{seconds / 60:.1f} minutes of training, {info['parameters']:,} learned numbers.</p>",
        f"<h2>Curves</h2><div class=curves>{''.join(_curves(log))}</div>",
        "<h2>Semantic IDs</h2>",
        table(("", ""), [(key.replace("_", " "), written(value)) for key, value in info["tokenizer"].items()]),
    ]
    if evaluation is not None:
        parts += ["<h2>Evaluation</h2>", _evaluation(evaluation)]
    parts.append("<h2>Settings</h2>")
    for section, values in info["config"].items():
        rows = [(key, written(value)) for key, value in values.items()]
        parts.append(f"<h3>{escape(section)}</h3>{table(('', ''), rows)}")
    parts.append(f'<p class="soft">Data: {escape(info["data_folder"])}, sha256 {escape(info["data_sha256"])}</p>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Training run {escape(name)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _curves(log: Sequence[Mapping[str, Any]]) -> list[str]:
    drawn = (
        ("Loss per predicted item", "loss", "{:.3f}"),
        ("Validation NDCG@10", "valid_ndcg_at_10", "{:.4f}"),
        ("Validation Recall@10", "valid_recall_at_10", "{:.4f}"),
        ("Predicted items learned per second", "events_per_s", "{:,.0f}"),
        ("Learning rate", "learning_rate", "{:.2e}"),
    )
    figures = []
    for title, key, written in drawn:
        points = [(float(row["epoch"]), float(row[key])) for row in log if row[key] is not None]
        if points:
            figures.append(f"<figure><figcaption>{title}</figcaption>{curve(title, points, written)}</figure>")
    return figures


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    rules, systems = evaluation["rules"], evaluation["systems"]
    names = ["recall@10", "ndcg@10", "mrr"]
    columns = ("", *names, *(f"{n} kept" for n in names[:2]), *next(iter(systems.values()))["lists"])
    rows = [
        (
            name,
            *(f"{system['seen removed'][metric]:.4f}" for metric in names),
            *(f"{system['seen kept'][metric]:.4f}" for metric in names[:2]),
            *(f"{value:.3f}" for value in system["lists"].values()),
        )
        for name, system in systems.items()
    ]
    caption = (
        f"{rules['n_users']:,} users, all {rules['n_items']:,} items ranked; seen items removed, or kept where the "
        f"column says so. {rules['split_rule']}."
    )
    return table(columns, rows, caption)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """An HTML table with escaped cells; without headings when all columns are empty."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    below = f'<p class="soft">{escape(caption)}</p>' if caption else ""
    above = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return f'<div class=scroll tabindex="0"><table>{above}<tbody>{body}</tbody></table></div>{below}'


def written(value: object) -> str:
    """A setting or measure as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(written(part) for part in value)
    return str(value)
