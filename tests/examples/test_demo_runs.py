"""The demo itself, on a small made data set: eight processes, a real export, real gossip."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
KEYS = {
    "recall_at_10",
    "ndcg_at_10",
    "baselines",
    "pte_bytes",
    "pte_max_abs_diff",
    "devices",
    "spam_share_blended_with_decay",
    "spam_share_blended_without_decay",
    "convergence_s",
    "recommend_p50_ms",
    "device_rss_mb",
}


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "examples.demo", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.slow
def test_the_demo_leaves_a_report_and_figures(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = ["user,item,timestamp,action"]
    for user in range(60):
        taste = rng.permutation(60)[:30] if user % 2 else rng.permutation(np.arange(60, 120))[:30]
        lines += [f"u{user},film {item},{1_600_000_000 + 60 * n},like" for n, item in enumerate(taste.tolist())]
    lines += [f"odd,obscure {n},{1_600_000_000 + n},view" for n in range(5)]
    (tmp_path / "films.csv").write_text("\n".join(lines) + "\n")
    done = _run("--data", str(tmp_path / "films.csv"), "--out", str(tmp_path / "out"), "--epochs", "2")
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    assert figures.keys() >= KEYS
    assert figures["devices"] == 8
    assert figures["pte_max_abs_diff"] < 0.05
    assert figures["spam_share_blended_with_decay"] <= figures["spam_share_blended_without_decay"]
    assert "The attack" in (tmp_path / "out" / "report.html").read_text()
    assert done.stdout.rstrip().endswith(str(tmp_path / "out" / "figures.json"))
    answers = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert {name: status["records"] for name, status in answers["status"].items()} == dict.fromkeys(
        answers["status"], 38
    )


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("user,thing\na,b\n", "column 'item'"), ("user,item,timestamp\na,b,1\na,c,2\n", "choose a larger data set")],
)
def test_bad_or_small_data_ends_in_words(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "bad.csv").write_text(content)
    done = _run("--data", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out"))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
