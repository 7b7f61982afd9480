"""The plots of `benchmarks.web3recommend`, from its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

_SPAM = "spam in all scores"
_PLOTS = (
    ("removed favourite", "top 100", "alpha", "share of favourites found", "Removed favourite among the first 100"),
    ("overlap with alpha .1", "RBO", "alpha", "rank-biased overlap, p = .9", "How alpha changes the list"),
    ("one attacker, chain", _SPAM, "Sybils", "share of spam", "A chain behind a friend's friend"),
    ("one attacker, cycle star", _SPAM, "Sybils", "share of spam", "A star of cycles behind a friend's friend"),
    ("mass attack", _SPAM, "share of people attacking", "share of spam", "Mass attack: all scores"),
    ("mass attack", "first 10 places", "share of people attacking", "share of places", "Mass attack: first 10"),
)


def draw(results: Sequence[dict[str, Any]], folder: Path) -> list[str]:
    """Draw one SVG with all plots; a method with a single step is a horizontal line.

    Args:
        results: dictionaries with experiment, method, at, measure and value.
        folder: where to write.

    Returns:
        Names of the files written.
    """
    mpl.rcParams["svg.hashsalt"] = "meritrec"  # the same figures give the same bytes
    figure, axes = plt.subplots(3, 2, figsize=(11, 12), layout="constrained")
    for (experiment, measure, across, up, title), axis in zip(_PLOTS, axes.flat, strict=True):
        mine = [r for r in results if (r["experiment"], r["measure"]) == (experiment, measure)]
        for method in dict.fromkeys(r["method"] for r in mine):
            points = sorted((r["at"], r["value"]) for r in mine if r["method"] == method)
            style = "--" if method in ("vanilla SALSA", "popularity") else "-"
            if len(points) == 1:
                axis.axhline(
                    points[0][1], linestyle=style, color="0.5" if method == "popularity" else "tab:red", label=method
                )
            else:
                color = "tab:red" if method == "vanilla SALSA" else None
                axis.plot(
                    *zip(*points, strict=True), marker="o", markersize=3, linestyle=style, color=color, label=method
                )
        if across == "Sybils":
            axis.set_xscale("log")
        axis.set(xlabel=across, ylabel=up, title=title, ylim=(0, None))
        axis.legend(fontsize=8)
        axis.grid(visible=True, alpha=0.3)
    figure.savefig(folder / "plots.svg", metadata={"Date": None})
    figure.savefig(folder / "plots.png", dpi=80)
    plt.close(figure)
    return ["plots.svg", "plots.png"]
