"""The experiments run on any folder of that format; here on a made one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lastfm import DataMissing, find_folder, load
from benchmarks.web3recommend import BETAS, HOSTILE, SYBILS, main, rank_biased_overlap


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    made = tmp_path / "hetrec-lastfm"
    made.mkdir()
    people = range(2, 42)
    plays = [f"{u}\t{a}\t{rng.integers(1, 900)}" for u in people for a in rng.permutation(60)[:25] + 50]
    (made / "user_artists.dat").write_text("\n".join(["userID\tartistID\tweight", *plays]) + "\n")
    pairs = {(int(a), int(b)) for u in people for a, b in [(u, rng.integers(2, 42)) for _ in range(4)] if a != b}
    lines = [f"{a}\t{b}" for a, b in sorted(pairs | {(b, a) for a, b in pairs})]
    (made / "user_friends.dat").write_text("\n".join(lines) + "\n")
    return made


def test_a_folder_becomes_a_world(folder: Path) -> None:
    world = load(folder)
    assert len(world) == 40
    for person, (trust, items) in world.items():
        assert sum(items.values()) == pytest.approx(1.0)
        assert all(0.05 <= weight <= 1.05 for weight in trust.values())
        assert all(person in world[friend][0] for friend in trust)


def test_all_experiments_end_in_tables_plots_and_figures(folder: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("benchmarks.web3recommend.SYBILS", SYBILS[:2])
    monkeypatch.setattr("benchmarks.web3recommend.HOSTILE", HOSTILE[:2])
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["x", "--data", str(folder.parent), "--out", str(out), "--roots", "16"])
    main()
    stated = json.loads((out / "results.json").read_text())
    assert stated["roots"] == 16
    experiments = {result["experiment"] for result in stated["results"]}
    assert len(experiments) == 5
    methods = {r["method"] for r in stated["results"] if r["experiment"] == "mass attack"}
    assert methods == {*(f"beta {beta:g}" for beta in BETAS), "vanilla SALSA"}
    assert all(0.0 <= result["value"] <= 1.0 for result in stated["results"])
    assert "<svg" in (out / "plots.svg").read_text()
    assert (out / "plots.png").stat().st_size > 10_000
    assert "mass attack: first 10 places" in (out / "results.txt").read_text()
    assert "removed favourite: top 100" in capsys.readouterr().out


@pytest.mark.parametrize("given", [None, "/nowhere"])
def test_without_the_data_it_says_where_to_get_it(given, monkeypatch) -> None:
    monkeypatch.delenv("MERITREC_DATA", raising=False)
    with pytest.raises(DataMissing, match="grouplens"):
        find_folder(given)
    monkeypatch.setattr(sys, "argv", ["x", *(["--data", given] if given else [])])
    with pytest.raises(SystemExit, match="--data"):
        main()


def test_rank_biased_overlap() -> None:
    items = list(range(100))
    assert rank_biased_overlap(items, items) == pytest.approx(1.0)
    assert rank_biased_overlap(items, [-1 - i for i in items]) == 0.0
    assert rank_biased_overlap([], items) == 0.0
    swapped = [1, 0, *items[2:]]
    # Only the first of a hundred depths differs, and it weighs (1 − p).
    assert rank_biased_overlap(items, swapped) == pytest.approx(0.9)
