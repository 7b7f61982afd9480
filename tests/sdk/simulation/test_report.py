"""Pages of results: axes that can be read, names that fit, and sentences about what was simulated only."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.simulation.community import Traffic
from sdk.simulation.judge import Verdict, error_of
from sdk.simulation.plots import HOURS, KILOBYTES, SCORE, SHARE, TIMES, Axis, Series, Unit, chart
from sdk.simulation.report import report_page
from sdk.simulation.results import Result

VERDICT = Verdict(24.0, 0, 0.2, 0.1, True, 0.0, 10, 0.001, 0.2, 0.9)
RESULT = Result(
    name="calm",
    text="A try.",
    fidelity="rank",
    scenario="days = 1",
    origin="made up: two people",
    versions={"numpy": "2"},
    alpha=0.3,
    beta=0.8,
    k=10,
    attacks=("sybil",),
    verdicts=(VERDICT, replace(VERDICT, ego=1, recall=0.4, ndcg=0.3)),
    traffic=(),
    sweep=(),
)


def traffic(hour: float) -> Traffic:
    return Traffic(hour, 0, True, bytes_in=155_000, bytes_out=1_000, records=3, known=0.5, memory=9_000_000, refused=0)


def texts(drawing: str) -> list[tuple[float, float, str, str]]:
    """x, y, anchor and content of every text of a drawing."""
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)"(?: text-anchor="(\w+)")? class="\w+">([^<]*)</text>', drawing)
    return [(float(x), float(y), anchor, said) for x, y, anchor, said in found]


@pytest.mark.parametrize("unit", [SCORE, SHARE, TIMES, KILOBYTES])
@given(high=st.floats(1e-6, 1e6))
def test_ticks_are_round_reach_the_top_and_differ(unit: Unit, high: float) -> None:
    ticks = unit.ticks(high)
    assert min(ticks) == 0.0
    assert max(ticks) >= high * (1 - 1e-9)
    assert 2 <= len(ticks) <= 7
    assert len(set(ticks.values())) == len(ticks)
    for value, label in ticks.items():
        number = float(label.removesuffix(unit.sign).replace(",", ""))
        assert number == pytest.approx(value * unit.scale)


@pytest.mark.parametrize("high", [0.0, -0.0])
def test_where_nothing_is_found_the_line_lies_on_the_axis(high: float) -> None:
    ticks = SHARE.ticks(high)
    assert ticks[0.0] == "0.0%"
    assert len(ticks) > 1


@given(low=st.floats(0, 100), span=st.floats(1e-3, 1e5))
def test_an_axis_has_few_ticks_inside_itself(low: float, span: float) -> None:
    for axis in (HOURS, Axis("alpha")):
        ticks = axis.ticks(low, low + span)
        assert len(ticks) <= 9
        assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)


@given(
    names=st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=60), min_size=1, max_size=20),
    value=st.sampled_from([0.0, 0.001, 1.0, 1234567.0]),
    looks=st.integers(1, 3),
)
def test_everything_is_inside_the_drawing_and_names_stand_apart(names: list[str], value: float, looks: int) -> None:
    points = tuple((24.0 * (look + 1), value) for look in range(looks))
    drawing = chart("What?", [Series(name, points) for name in names], HOURS, KILOBYTES)
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawing)[0])
    letter = 6.5
    for x, y, anchor, said in texts(drawing):
        length = letter * len(said)
        begin = {"end": x - length, "middle": x - length / 2, "": x}[anchor]
        assert begin >= 0.0
        assert begin + length <= width
        assert 8.0 <= y <= height
    last = sorted(y for _, y, anchor, _ in texts(drawing) if not anchor)
    assert len(last) == len(names)
    assert all(later - earlier >= 14.9 for earlier, later in pairwise(last))


def test_the_error_is_that_of_a_mean() -> None:
    assert error_of(RESULT.verdicts, "recall") == pytest.approx(math.sqrt(0.02) / math.sqrt(2))
    assert error_of(RESULT.verdicts[:1], "recall") == 0.0
    assert error_of([replace(verdict, judged=False) for verdict in RESULT.verdicts], "ndcg") == 0.0


def test_a_page_of_a_single_look_says_what_was_found() -> None:
    page = report_page([RESULT])
    assert "A try. Made up: two people. Attacks: sybil. Only rankings" in page
    assert "<td>0.3000 ± 0.1000</td>" in page
    assert "first look" not in page
    assert "hold 0.10% of the trust" in page
    assert "devices" not in page
    assert "traffic" not in page


def test_beside_each_other_only_runs_with_messages_have_traffic() -> None:
    sent = replace(RESULT, name="loud", fidelity="protocol", attacks=(), traffic=(traffic(24.0),))
    page = report_page([RESULT, sent])
    assert "<td>records known</td><td>–</td><td>50.0%</td>" in page
    assert "<b>loud</b>: A device received 155 KB" in page
    assert "loud: received" in page
    assert "calm: received" not in page
    assert "loud: spam" not in page  # nobody attacks there
    assert page.count("Nobody attacks.") == 1
