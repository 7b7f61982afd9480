"""The gossip benchmark runs from end to end on a few hosts and peers; what it times is not tested."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import gossip
from benchmarks.gossip_devices import START, Updates
from benchmarks.gossip_people import made_people


@pytest.mark.slow
def test_every_table_is_printed_and_every_figure_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "figures.json"
    options = ["--hosts", "3", "--heal", "8", "--peers", "20", "--devices", "1", "--json", str(kept)]
    monkeypatch.setattr(sys, "argv", ["x", *options])
    gossip.main()
    printed = capsys.readouterr().out
    for words in (
        "Real hosts",
        "ours to theirs",
        "equal and complete after",
        "Received per device",
        "sampled",
        "whole",
    ):
        assert words in printed
    figures = json.loads(kept.read_text())
    assert [spread["delivered"] for spread in figures["hosts"]] == [1.0, 1.0]
    assert all(spread["bytes_per_record"] > 500 for spread in figures["hosts"])
    whole = next(row for row in figures["traffic"] if row["way"] == "whole")
    assert len(whole["devices"]) == 20
    assert all(device["held"] >= 15 and device["fresh"] > 0.9 for device in whole["devices"])
    assert all(day > 0 for device in whole["devices"] for day in device["days"])


def test_a_network_is_the_same_each_time_and_its_records_are_valid() -> None:
    people = made_people(40)
    assert people.trusted == made_people.__wrapped__(40).trusted
    assert all(person not in trusted for person, trusted in enumerate(people.trusted))
    updates = Updates(people, 0)
    for person in range(40):
        first, second = (updates.record(person, version) for version in (1, 2))
        assert first.digest != second.digest
        assert updates.version_at(person, START) == 1
        at = updates.time_of(person, 2)
        assert [updates.version_at(person, at + late) for late in (-1.0, 1.0)] == [1, 2]
