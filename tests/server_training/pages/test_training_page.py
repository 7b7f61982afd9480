"""The page of a run: whole, self-contained, safe with hostile names, and a browser agrees."""

from __future__ import annotations

import json
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_training.errors import TrainingError
from server_training.pages.curves import curve
from server_training.pages.training import write_training_page

HOSTILE = '<script>alert(1)</script>"&'


class Reader(HTMLParser):
    """Collects tags, addresses and text, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]
        if tag not in ("meta", "link", "br", "line", "circle", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("line", "circle", "path"):
            return
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def run_folder(folder: Path) -> Path:
    folder.mkdir()
    info = {
        "data_folder": HOSTILE,
        "data_sha256": "0" * 64,
        "config": {"model": {"width": 8, "backbone": HOSTILE}, "train": {"epochs": 3}},
        "tokenizer": {"items": 9, "used": [3, 4], "collision_rate": 0.25},
        "parameters": 1234,
        "epochs": 3,
        "best_valid_ndcg_at_10": 0.0625,
    }
    rows = [
        {
            "epoch": epoch,
            "loss": 9.0 - epoch,
            "seconds": 1.0,
            "events_per_s": 100.0 * epoch,
            "learning_rate": 0.001,
            "valid_ndcg_at_10": 0.02 * epoch if epoch != 2 else None,
            "valid_recall_at_10": None,
        }
        for epoch in (1, 2, 3)
    ]
    (folder / "run.json").write_text(json.dumps(info))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    system = {
        "seen removed": {"recall@10": 0.5, "ndcg@10": 0.25, "mrr": 0.125},
        "seen kept": {"recall@10": 0.4, "ndcg@10": 0.2, "mrr": 0.1},
        "lists": {"coverage@10": 0.75},
    }
    rules = {"n_users": 7, "n_items": 9, "split_rule": HOSTILE}
    (folder / "evaluation.json").write_text(json.dumps({"rules": rules, "systems": {HOSTILE: system}}))
    return folder


def test_the_page_is_whole_and_loads_nothing(tmp_path: Path) -> None:
    page = write_training_page(run_folder(tmp_path / "a run")).read_text()
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert "script" not in reader.seen
    assert reader.addresses == []
    assert HOSTILE not in page
    for told in ("0.0625", "1,234", "Validation NDCG@10", "collision rate", "0.5000", "coverage@10", HOSTILE):
        assert told in reader.text
    assert "Validation Recall@10" not in reader.text  # nothing was measured


def test_a_run_that_is_not_whole_has_no_page(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "run")
    (folder / "evaluation.json").unlink()
    write_training_page(folder)
    (folder / "log.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(TrainingError, match="no whole run"):
        write_training_page(folder)
    (folder / "run.json").unlink()
    with pytest.raises(TrainingError, match="no whole run"):
        write_training_page(folder)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_curve_stays_in_its_frame(values: list[float]) -> None:
    drawn = curve("x", [(float(place), value) for place, value in enumerate(values, 1)], "{:.3f}")
    path = drawn.split('<path d="')[1].split('"')[0]
    numbers = [float(part.strip("ML")) for part in path.split()]
    assert all(8 <= x <= 312 for x in numbers[::2])
    assert all(28 <= y <= 128 for y in numbers[1::2])


@pytest.mark.slow
def test_a_browser_shows_it(tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    assert browser, "install chromium"
    page = write_training_page(run_folder(tmp_path / "run"))
    shown = subprocess.run(
        [
            *(
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-background-networking",
            ),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=500,900", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    reader = Reader()
    reader.feed(shown)
    assert "Validation NDCG@10" in reader.text
