"""The trust benchmarks run from end to end on small graphs; what they time is not tested."""

from __future__ import annotations

import sys

import pytest

from benchmarks import sybil, trust, trust_graphs


def test_the_speed_table_has_every_row_for_every_kernel(monkeypatch, capsys) -> None:
    monkeypatch.setattr(trust, "_SECONDS", 0.02)
    monkeypatch.setattr(sys, "argv", ["x", "--edges", "400"])
    trust.main()
    printed = capsys.readouterr().out
    for title in (trust.FULL, trust.EGO, trust.SINGLE, trust.REPLACE, trust.TOP, trust.ITEMS, trust.LOAD, trust.MEMORY):
        assert title in printed
    assert "to compile" in printed


def test_made_graphs_hold_no_self_edges_and_no_repeated_ones() -> None:
    made = trust_graphs.made_graph(2_000)
    pairs = list(zip(made.author.tolist(), made.friend.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert all(a != b for a, b in pairs)
    graph = made.load()
    assert graph.trust_rows.entries == len(pairs)
    assert made.busiest in graph


def test_the_attack_table_states_bound_and_margin(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sybil, "COUNTS", (1, 5))
    monkeypatch.setattr(sys, "argv", ["x", "--walks", "2000"])
    with pytest.raises(SystemExit) as ended:
        sybil.main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for words in ("bound", "margin", "plain PageRank", "vanilla", "clique, 10 people fooled", "within the bound"):
        assert words in printed
