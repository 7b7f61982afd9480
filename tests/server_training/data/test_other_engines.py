"""What the documentation gives for other engines makes the same rows as ours."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from server_training.data import columns as c
from server_training.data.prepare import prepare

DOCUMENTATION = Path(__file__).parents[3] / "docs" / "data.md"
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "B", "é", "zz", "a a"]),
        st.sampled_from("xyz"),
        st.integers(0, 4),
        st.sampled_from(["view", "buy"]),
        st.sampled_from([0.0, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=30)
@given(EVENTS)
def test_duckdb_makes_what_we_make(events: list[tuple[str, str, int, str, float]]) -> None:
    (query,) = re.findall(r"```sql duckdb\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pl.DataFrame(events, schema=c.INTERACTIONS_SCHEMA, orient="row").write_parquet(folder / "raw.parquet")
        prepare(folder / "raw.parquet", folder / "ours", piece=7, part_rows=9)
        told = query.replace("raw.parquet", str(folder / "raw.parquet"))
        duckdb.execute(told.replace("'interactions.parquet'", f"'{folder / 'theirs.parquet'}'"))
        ours = pl.read_parquet(folder / "ours" / c.INTERACTIONS_FILE)
        assert_frame_equal(pl.read_parquet(folder / "theirs.parquet"), ours)
