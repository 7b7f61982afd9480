"""Updates of a catalog: merged as rebuilding would, refused whenever they are not exactly what was signed for this
bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_runtime import (
    ADDED_FILE,
    CATALOG_FILE,
    DELTA_FILE,
    DELTA_SIGNATURE_FILE,
    MODEL_FILE,
    Bundle,
    BundleError,
    BundleExpired,
    BundleMissing,
    BundleTampered,
    BundleTooOld,
    Catalog,
    CatalogInvalid,
    Delta,
    DeltaManifest,
    Manifest,
    ManifestInvalid,
    ModelStore,
    Neighbours,
    PublisherKey,
    PublisherSet,
    SmokeReport,
    UntrustedPublisher,
    manifest_digest,
    merged,
    sign_bundle,
    sign_delta,
    write_bundle,
    write_delta,
)

NOW, EXPIRES = 1_750_000_000, 1_760_000_000
SIZE, LEVELS = 6, 3
KINDS = ["red", "green"]


def _parts(seed: int, n: int, *, texts: bool) -> tuple[list[str], Any, list[str], Any, list[list[int]]]:
    rng = np.random.default_rng(seed)
    codes = np.stack(np.unravel_index(rng.permutation(SIZE**LEVELS)[:n], (SIZE,) * LEVELS), axis=1)
    ids = [f"item {number}" if texts and number % 3 else str(number) for number in rng.permutation(1000)[:n].tolist()]
    features = rng.integers(-127, 128, (n, 2)).astype(np.int8)
    kinds = [rng.permutation(2)[: rng.integers(0, 3)].tolist() for _ in ids]
    return ids, codes, [f"t{item}" for item in ids], features, kinds


def _catalog(parts: Any, rows: Any) -> Catalog:
    ids, codes, titles, features, kinds = parts
    chosen = np.asarray(rows, np.int64).tolist()
    return Catalog.from_columns(
        [ids[r] for r in chosen],
        codes[chosen],
        SIZE,
        [titles[r] for r in chosen],
        features[chosen],
        np.array([0.5, 2], np.float32),
        (KINDS, [kinds[r] for r in chosen]),
    )


@given(st.integers(0, 10**6), st.integers(1, 60), st.booleans(), st.data())
def test_merging_is_rebuilding(seed: int, n: int, texts: bool, data: st.DataObject) -> None:
    parts = _parts(seed, n, texts=texts)
    first = data.draw(st.integers(1, n))
    gone = data.draw(st.sets(st.integers(0, first - 1)))
    keep = [row for row in range(n) if row not in gone]
    withdrawn = [parts[0][row] for row in gone] + ["never there"]
    if not keep:
        with pytest.raises(CatalogInvalid):
            merged(_catalog(parts, range(first)), None, withdrawn)
        return
    base = _catalog(parts, range(first))
    near = Neighbours.build(np.random.default_rng(seed).integers(0, first, (first, 3)), np.ones((first, 3)), 2.0, 1.0)
    found = merged(base.with_neighbours(near), _catalog(parts, range(first, n)) if first < n else None, withdrawn)
    expected = _catalog(parts, keep)
    after = found.neighbours
    assert found.with_neighbours(None).to_bytes() == expected.to_bytes()
    found.check()
    assert after is not None
    for row, item in enumerate(found.ids):
        old = base.row_of(item)
        wanted = {base.ids[r] for r in near.rows[old].tolist()} - set(withdrawn) if old >= 0 else set()
        assert {found.ids[r] for r, w in zip(after.rows[row].tolist(), after.weights[row], strict=True) if w} == wanted


def test_ids_are_kept_as_integers_again_once_the_last_text_is_gone() -> None:
    parts = _parts(1, 3, texts=False)
    for other in ("text", str(1 << 40)):
        mixed = ([other, *parts[0][1:]], *parts[1:])
        assert merged(_catalog(mixed, [0, 1, 2]), None, [other]).to_bytes() == _catalog(mixed, [1, 2]).to_bytes()


def test_what_does_not_fit_is_refused() -> None:
    parts = _parts(1, 20, texts=True)
    base = _catalog(parts, range(10))
    with pytest.raises(CatalogInvalid, match="twice"):
        merged(base, Catalog.from_columns([parts[0][0]], parts[1][[15]], SIZE, None, parts[3][[0]], base.scales), [])
    with pytest.raises(CatalogInvalid, match="distinct"):
        merged(base, Catalog.from_columns(["new"], parts[1][[0]], SIZE, None, parts[3][[0]], base.scales), [])
    with pytest.raises(CatalogInvalid, match="scales"):
        merged(base, Catalog.from_columns(["new"], parts[1][[15]], SIZE, None, parts[3][[0]], base.scales * 2), [])
    with pytest.raises(CatalogInvalid, match="codes of 7"):
        merged(base, Catalog.from_columns(["new"], parts[1][[15]], 7, None, parts[3][[0]], base.scales), [])
    kinds = (["blue"], [[0]])
    with pytest.raises(CatalogInvalid, match="categories"):
        merged(base, Catalog.from_columns(["new"], parts[1][[15]], SIZE, None, parts[3][[0]], base.scales, kinds), [])


def test_an_item_that_is_withdrawn_and_added_is_changed() -> None:
    parts = _parts(1, 20, texts=True)
    base = _catalog(parts, range(10))
    fresh = Catalog.from_columns([parts[0][0]], parts[1][[15]], SIZE, ["new title"], parts[3][[0]], base.scales)
    found = merged(base, fresh, [parts[0][0]])
    assert len(found) == 10
    assert found.title_of(found.index_of(parts[0][0])) == "new title"


Opened = tuple[Bundle, Path]


@pytest.fixture
def opened(tmp_path: Path, catalog: Catalog, manifest_for: Callable[..., Manifest], publisher: PublisherKey) -> Opened:
    contents = {MODEL_FILE: b"a program", CATALOG_FILE: catalog.to_bytes()}
    path = tmp_path / "bundle"
    write_bundle(path, manifest_for(contents), contents)
    sign_bundle(path, publisher)
    return Bundle.open(path, trusted_keys=[publisher.public], now=NOW), path


def _fresh(catalog: Catalog) -> Catalog:
    free = np.setdiff1d(np.arange(8**3), catalog.packed)[:2]
    codes = np.stack(np.unravel_index(free, (8,) * 3), axis=1)
    return Catalog.from_columns(["new-1", "new-2"], codes, 8, None, np.zeros((2, 1), np.int8), catalog.scales)


def _delta(path: Path, bundle: Bundle, key: PublisherKey, **changes: Any) -> Path:
    fields = {
        "bundle_sha256": manifest_digest(bundle.manifest.to_bytes()),
        "sequence": 1,
        "created_at": NOW,
        "expires_at": EXPIRES,
        "withdrawn": ("item-3",),
    }
    write_delta(path, fields | changes, _fresh(bundle.catalog))
    sign_delta(path, key)
    return path


def _open(path: Path, bundle: Bundle, key: PublisherKey, **options: Any) -> Delta:
    return Delta.open(path, bundle, trusted=PublisherSet.pinned([key.public]), **({"now": NOW} | options))


def test_a_signed_update_is_applied(opened: Opened, publisher: PublisherKey, tmp_path: Path) -> None:
    bundle, _ = opened
    delta = _open(_delta(tmp_path / "delta", bundle, publisher), bundle, publisher)
    found = delta.applied_to(bundle).catalog
    assert len(found) == len(bundle.catalog) + 1
    assert "new-1" in found
    assert "item-3" not in found


def test_whatever_is_wrong_is_refused(opened: Opened, publisher: PublisherKey, tmp_path: Path) -> None:
    bundle, bundle_path = opened

    def refused(error: type[BundleError], name: str, **options: Any) -> None:
        changes = options.pop("changes", {})
        path = _delta(tmp_path / name, bundle, options.pop("key", publisher), **changes)
        options.pop("damage", lambda _: None)(path)
        with pytest.raises(error):
            _open(path, bundle, publisher, **options)

    refused(UntrustedPublisher, "stranger", key=PublisherKey.create())
    refused(BundleTampered, "other bundle", changes={"bundle_sha256": "0" * 64})
    refused(BundleTooOld, "replayed", after=1)
    refused(BundleExpired, "expired", now=EXPIRES)
    refused(BundleTampered, "swapped", damage=lambda p: (p / ADDED_FILE).write_bytes(bundle.catalog.to_bytes()))
    refused(BundleTampered, "more", damage=lambda p: (p / "extra").write_bytes(b""))
    refused(BundleTampered, "fewer", damage=lambda p: (p / ADDED_FILE).unlink())
    refused(BundleMissing, "unsigned", damage=lambda p: (p / DELTA_SIGNATURE_FILE).unlink())
    refused(
        UntrustedPublisher, "bundle signature",
        damage=lambda p: (p / DELTA_SIGNATURE_FILE).write_bytes((bundle_path / "manifest.sig").read_bytes()),
    )  # fmt: skip


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
GOOD = DeltaManifest("0" * 64, 1, NOW, EXPIRES, ("a", "b"), None)
_FIELDS = ("bundle_sha256", "sequence", "created_at", "expires_at", "withdrawn", "added", "format_version")


@given(st.sampled_from(_FIELDS), _json)
def test_any_field_may_hold_anything(field: str, value: Any) -> None:
    raw = json.dumps(json.loads(GOOD.to_bytes()) | {field: value}, sort_keys=True, separators=(",", ":")).encode()
    try:
        found = DeltaManifest.from_bytes(raw)
    except ManifestInvalid:
        return
    assert found.to_bytes() == raw


@given(st.binary(max_size=100))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        DeltaManifest.from_bytes(data)


def test_a_store_keeps_the_newest_update_of_the_active_model(
    opened: Opened, publisher: PublisherKey, tmp_path: Path
) -> None:
    bundle, path = opened
    store = ModelStore.open(
        tmp_path / "models", trusted_keys=[publisher.public], smoke=lambda _: SmokeReport("none", 1, 1, False)
    )
    with pytest.raises(BundleMissing):
        store.update(path, now=NOW)
    store.install(path, now=NOW)
    assert "new-1" not in store.active(now=NOW).catalog
    store.update(_delta(tmp_path / "one", bundle, publisher), now=NOW)
    assert "new-1" in store.active(now=NOW).catalog
    with pytest.raises(BundleTooOld):
        store.update(tmp_path / "one", now=NOW)
    store.update(_delta(tmp_path / "two", bundle, publisher, sequence=2, withdrawn=("item-4",)), now=NOW)
    found = store.active(now=NOW).catalog
    assert "item-3" in found
    assert "item-4" not in found
    assert len([p for p in store._folder.iterdir() if p.is_dir()]) == 2
    with pytest.raises(BundleExpired):
        store.active(now=EXPIRES)
    (store._folder / "update-3-2" / DELTA_FILE).write_bytes(b"{}")
    with pytest.raises(BundleError):
        store.active(now=NOW)
