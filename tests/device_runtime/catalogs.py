"""Catalogs drawn at random, for several test files."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from device_runtime import Catalog, Neighbours

ids_of_any_kind = st.one_of(
    st.text(min_size=1, max_size=8).map(lambda text: text.encode("utf-8", "replace").decode()),
    st.integers(0, 300).map(str),
    st.integers(0, (1 << 64) + 9).map(str),
)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    """A catalog of up to 150 items, ids whole numbers or texts, other columns there or not."""
    levels, size = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    if draw(st.booleans()):
        size = 4096  # semantic IDs of more than four bytes
    n = draw(st.integers(1, min(150, size**levels)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    codes = rng.integers(0, size, (4 * n, levels))
    codes = rng.permutation(np.unique(codes, axis=0))[:n]
    n = len(codes)
    kind = draw(st.sampled_from(["integers", "wide integers", "texts", "mixed"]))
    numbers = rng.choice(1 << 20, n, replace=False) + (1 << 40 if kind == "wide integers" else 0)
    ids = [str(number) for number in numbers.tolist()]
    if kind in ("texts", "mixed"):
        ids = [f"é{item}" if kind == "texts" or place % 2 else item for place, item in enumerate(ids)]
    titles = [f"title of {item}" for item in ids] if draw(st.booleans()) else None
    features = rng.normal(size=(n, draw(st.integers(1, 3)))) if draw(st.booleans()) else None
    names = [f"kind {number}" for number in range(draw(st.sampled_from([0, 1, 3, 300])))]
    per_item = (
        [rng.choice(len(names), rng.integers(0, min(4, len(names)) + 1), replace=False) for _ in range(n)]
        if names
        else []
    )
    found = Catalog.build(ids, codes, size, titles, features, (names, per_item) if names else None)
    if draw(st.booleans()):
        near = rng.integers(0, n, (n, 2))
        found = found.with_neighbours(Neighbours.build(near, rng.random((n, 2)) + 0.1, 2.0, 0.5))
    return found
