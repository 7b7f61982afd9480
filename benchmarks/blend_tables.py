"""The two tables of the benchmark, as text."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.blend_attack import ATTACKERS, FOOLED_SHARE, SYBIL_SHARE, Attacked
from benchmarks.blend_measures import Row, class_name


def quality_table(rows: Sequence[Row]) -> str:
    """One line per class and measure."""
    lines = []
    for measure in dict.fromkeys(row.measure for row in rows):
        mine = [row for row in rows if row.measure == measure]
        names = list(mine[0].means)
        lines += [
            "",
            f"{measure}, {mine[0].people:,} people per class, known artists removed, the whole catalog ranked",
        ]
        lines.append(f"{'':<10}" + "".join(f"{name:>13}" for name in names) + "   blended − best part, 95 %     ratio")
        for row in mine:
            ratio = row.means["blended"] / row.means[row.best_part] if row.means[row.best_part] else float("nan")
            values = "".join(f"{row.means[name]:13.4f}" for name in names)
            gap = f"{row.gap:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
            lines.append(f"{class_name(row.kind):<10}{values}   {gap} {ratio:6.2f} of {row.best_part}")
    return "\n".join(lines)


def attack_table(rows: Sequence[Attacked]) -> str:
    """One line per system."""
    lines = [
        "",
        f"under attack: Sybils are {SYBIL_SHARE:.0%} of all identities, in {ATTACKERS} regions; {FOOLED_SHARE:.0%} of "
        "honest people vouch for an attacker",
        f"{'':<16}{'Recall@10':>10}{'attacked':>10}{'left':>8}{'NDCG@10':>10}{'attacked':>10}{'left':>8}"
        f"{'spam in ten':>13}",
    ]
    for row in rows:
        recall, ndcg = row.recall_attacked / (row.recall or 1.0), row.ndcg_attacked / (row.ndcg or 1.0)
        lines.append(
            f"{row.system:<16}{row.recall:10.4f}{row.recall_attacked:10.4f}{recall:8.1%}"
            f"{row.ndcg:10.4f}{row.ndcg_attacked:10.4f}{ndcg:8.1%}{row.spam:13.1%}"
        )
    return "\n".join(lines)
