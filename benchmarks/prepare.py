"""Preparing data larger than memory: rows per second and peak memory by size, beside DuckDB's query on the same file.

`python -m benchmarks.prepare [--rows 1000000 10000000] [--folder SCRATCH]`

Each row of the table is a process of its own, so that peak memory is that of one preparation.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from server_training.data import columns as c

_PIECE = 1_000_000
_DOCUMENTATION = Path(__file__).parents[1] / "docs" / "data.md"
_OURS = "from server_training.data.prepare import prepare; prepare(Path(sys.argv[1]), Path(sys.argv[2]))"
_THEIRS = "import duckdb; duckdb.execute(sys.argv[3])"
_MEASURE = """
import json, resource, sys, time
from pathlib import Path
began = time.perf_counter()
{work}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({{"seconds": time.perf_counter() - began, "mb": peak / 1024}}))
"""


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description="Rows per second and peak memory of preparing data.")
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--folder", type=Path, help="where files are made (default: a temporary folder)")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    print("        rows  file MB  ours rows/s  peak MB  DuckDB rows/s  peak MB  ratio")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        for rows in arguments.rows:
            with console.status(f"making {rows:,} rows"):
                path = _made(folder / "raw.parquet", rows)
            with console.status(f"preparing {rows:,} rows"):
                ours = _measured(_OURS, str(path), str(folder / "out"))
            with console.status(f"DuckDB on {rows:,} rows"):
                theirs = _measured(_THEIRS, str(path), "", _query(path, folder / "theirs.parquet"))
            rates = [rows / found["seconds"] for found in (ours, theirs)]
            print(
                f"{rows:12,} {path.stat().st_size / 1e6:8.0f} {rates[0]:12,.0f} {ours['mb']:8.0f} {rates[1]:14,.0f} "
                f"{theirs['mb']:8.0f} {rates[0] / rates[1]:6.2f}",
                flush=True,
            )
    print("ours also checks every value, counts, and hashes; DuckDB only sorts and drops doubled rows")


def _made(path: Path, rows: int) -> Path:
    """A file of events in time order: some users act often, a few hundred thousand items."""
    rng = np.random.default_rng(0)
    pieces = path.parent / "pieces"
    pieces.mkdir(exist_ok=True)
    for old in pieces.glob("*"):
        old.unlink()
    for start in range(0, rows, _PIECE):
        count = min(_PIECE, rows - start)
        users = (rng.pareto(1.2, count) * rows / 2000).astype(np.int64) % max(1, rows // 20)
        items = (rng.pareto(1.0, count) * 100).astype(np.int64) % 300_000
        frame = pl.DataFrame(
            {
                c.USER: pl.Series(users).cast(pl.String),
                c.ITEM: pl.Series(items).cast(pl.String),
                c.TIMESTAMP: np.arange(start, start + count),
                c.ACTION: ["view"] * count,
                c.WEIGHT: np.ones(count, np.float32),
            }
        )
        frame.write_parquet(pieces / f"{start:012}.parquet")
    pl.scan_parquet(pieces / "*.parquet").sink_parquet(path)
    return path


def _query(source: Path, out: Path) -> str:
    (query,) = re.findall(r"```sql duckdb\n(.*?)```", _DOCUMENTATION.read_text(), re.DOTALL)
    told = str(query).replace("raw.parquet", str(source))
    return told.replace("'interactions.parquet'", f"'{out}'")


def _measured(work: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-c", _MEASURE.format(work=work), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"a measured process failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
