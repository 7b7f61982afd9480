"""A catalog of millions, mapped: size, time to open, and what a search in it costs.

`python -m benchmarks.catalog [--items 10000000]`

Ids are whole numbers, semantic IDs four codes of 256, no titles and no features, as a model of code embeddings alone
has it. The search is the constrained beam search of 20 hypotheses, with logits drawn at random, so that what is
measured is the decoding and not a model. Beside it: a Python dict of ids, and a trie of dicts over the codes, as
decoders commonly have it (on a hundredth of the items, as it takes a hundred times the memory).
"""

from __future__ import annotations

import argparse
import mmap
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from device_runtime import Catalog, RowFilter, RowSet, beam_search
from device_runtime.columns import IntegerColumn, RowNumbers, order_of

LEVELS, SIZE, BEAM, WIDTH = 4, 256, 20, 64


class RandomModel:
    """Logits at random; the cost of a model is not counted here."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def run(self, method: str, *inputs: Any) -> tuple[Any, ...]:
        """Answer `decode_l`."""
        del method
        return (self._rng.normal(size=(len(inputs[0]), SIZE)).astype(np.float32),)


def build(items: int) -> Catalog:
    """Return a catalog of random ids and codes."""
    rng = np.random.default_rng(0)
    packed = np.unique(rng.integers(0, SIZE**LEVELS, items + items // 50 + 64, dtype=np.uint32))
    packed = np.sort(rng.permutation(packed)[:items])
    ids = IntegerColumn(rng.permutation(np.uint32(4 * items))[:items].astype(np.uint32))
    features = np.broadcast_to(np.int8(0), (items, 1))
    order = RowNumbers.build(order_of(ids), items)
    return Catalog(ids, order, packed, LEVELS, SIZE, None, features, np.ones(1, np.float32))


def median_ms(call: Callable[[], object], times: int = 15) -> float:
    """Median milliseconds of a call, after one to warm up."""
    call()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def mapped(path: Path) -> Catalog:
    """Open as a device does: mapped, without looking at every row again."""
    with path.open("rb") as file:
        view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return Catalog.from_bytes(view, thorough=False)


def search(catalog: Catalog, allowed: RowFilter | None) -> object:
    """Run one beam search."""
    model = RandomModel()
    encoded = (np.zeros((1, WIDTH), np.float32), model.run("", np.zeros((1, 1)))[0])
    return beam_search(model, encoded, catalog, k=10, beam_width=BEAM, allowed=allowed)


def resident_mb(path: Path) -> float:
    """Megabytes that a process gains by opening a catalog and searching in it, touched pages of the file included."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from benchmarks.catalog import mapped, search\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before = resident()\n"
        "catalog = mapped(Path(sys.argv[1]))\n"
        "for _ in range(20): search(catalog, None)\n"
        "print((resident() - before) / 1e6)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def trie_bytes(codes: np.ndarray) -> float:
    """Bytes per item of a trie of dicts over codes [n, L]."""
    code = (
        "import sys, numpy as np\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "codes = np.load(sys.argv[1]).tolist()\n"
        "before = resident()\n"
        "root = {}\n"
        "for row, path in enumerate(codes):\n"
        "    node = root\n"
        "    for c in path[:-1]: node = node.setdefault(c, {})\n"
        "    node[path[-1]] = row\n"
        "print((resident() - before) / len(codes))\n"
    )
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, codes)
        done = subprocess.run([sys.executable, "-c", code, file.name], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="A mapped catalog of millions.")
    parser.add_argument("--items", type=int, default=10_000_000)
    items = parser.parse_args().items
    made = build(items)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.bin"
        data = made.to_bytes()
        path.write_bytes(data)
        del data
        rng = np.random.default_rng(1)
        some = [made.ids[row] for row in rng.integers(0, items, 1000).tolist()]
        codes = made.codes_of(np.sort(rng.choice(items, max(1, items // 100), replace=False)))
        del made
        opening = median_ms(lambda: mapped(path))
        catalog = mapped(path)
        began = time.perf_counter()
        rows = [catalog.row_of(item) for item in some]
        looking = (time.perf_counter() - began) * 1e6 / len(some)
        assert min(rows) >= 0
        seen = rng.integers(0, items, 500)
        kind = RowSet(rng.random(items) < 0.3)
        print(
            f"{items:,} items: {path.stat().st_size / 1e6:.1f} MB mapped, {path.stat().st_size / items:.1f} bytes each"
        )
        print(f"open                                     {opening:8.1f} ms")
        print(f"id to row                                {looking:8.1f} us")
        print(f"beam {BEAM}, 4 codes, no filter              {median_ms(lambda: search(catalog, None)):8.2f} ms")
        without = RowFilter.of(items, None, seen)
        print(f"  500 items seen                         {median_ms(lambda: search(catalog, without)):8.2f} ms")
        within = RowFilter.of(items, kind, seen)
        print(f"  and a category of 30 %                 {median_ms(lambda: search(catalog, within)):8.2f} ms")
        print(f"checking every row once                  {median_ms(catalog.check, 1):8.0f} ms")
        print(f"resident after opening and 20 searches   {resident_mb(path):8.1f} MB more, in a process of its own")
        own, trie = path.stat().st_size / items, trie_bytes(codes)
        print(f"a trie of dicts over the codes alone     {trie:8.0f} bytes per item, {trie / own:.0f} times as many")


if __name__ == "__main__":
    main()
