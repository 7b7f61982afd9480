"""A bundle is opened whole and verified, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    README_FILE,
    SIGNATURE_FILE,
    Bundle,
    BundleError,
    BundleExpired,
    BundleMissing,
    BundleTampered,
    BundleTooOld,
    Catalog,
    CatalogInvalid,
    Manifest,
    ManifestInvalid,
    PublisherKey,
    UntrustedPublisher,
    inspect_bundle,
    sign_bundle,
    write_bundle,
)

NOW = 1_750_000_000
FILES = (MANIFEST_FILE, SIGNATURE_FILE, MODEL_FILE, CATALOG_FILE, README_FILE)
Manifests = Callable[..., Manifest]


def _open(path: Path, key: PublisherKey, **options: Any) -> Bundle:
    return Bundle.open(path, **({"trusted_keys": [key.public], "now": NOW} | options))


def _refused(path: Path, key: PublisherKey, error: type[BundleError], match: str | None = None, **options: Any) -> None:
    """Opening fails, and before the catalog reached its parser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Catalog, "from_bytes", lambda data: pytest.fail("the catalog was parsed"))
        with pytest.raises(error, match=match):
            _open(path, key, **options)


def test_a_signed_bundle_opens(bundle_path: Path, publisher: PublisherKey, catalog: Catalog) -> None:
    bundle = _open(bundle_path, publisher, minimum_version=3)
    assert bundle.model == (bundle_path / MODEL_FILE).read_bytes()
    assert list(bundle.catalog.ids) == list(catalog.ids)
    assert bundle.manifest.model_version == 3


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_changed_byte_in_any_file(bundle_path: Path, publisher: PublisherKey, name: str, place: str) -> None:
    file = bundle_path / name
    content = bytearray(file.read_bytes())
    if name == SIGNATURE_FILE and place == "middle":
        content = bytearray(content.replace(b'"signature": "', b'"signature": "ff', 1))
    elif name == SIGNATURE_FILE and place == "last":
        content = bytearray(content.rstrip()[:-1])
    else:
        content[{"first": 0, "middle": len(content) // 2, "last": -1}[place]] ^= 1
    file.write_bytes(content)
    signed = name in (MANIFEST_FILE, SIGNATURE_FILE)
    _refused(bundle_path, publisher, UntrustedPublisher if signed else BundleTampered, None if signed else name)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle_path: Path, publisher: PublisherKey, name: str) -> None:
    (bundle_path / name).unlink()
    _refused(bundle_path, publisher, BundleMissing, name)


@pytest.mark.parametrize("name", [MODEL_FILE, CATALOG_FILE, README_FILE])
def test_a_truncated_or_longer_file(bundle_path: Path, publisher: PublisherKey, name: str) -> None:
    content = (bundle_path / name).read_bytes()
    (bundle_path / name).write_bytes(content[:-1])
    _refused(bundle_path, publisher, BundleTampered, f"{name} has {len(content) - 1} bytes")
    (bundle_path / name).write_bytes(content + b"x")
    _refused(bundle_path, publisher, BundleTampered, f"{name} has {len(content) + 1} bytes")


def test_a_giant_manifest_or_signature_is_not_read(bundle_path: Path, publisher: PublisherKey) -> None:
    for name in (SIGNATURE_FILE, MANIFEST_FILE):
        with (bundle_path / name).open("r+b") as file:
            file.truncate(1 << 32)
        _refused(bundle_path, publisher, BundleTampered, name)


def test_a_giant_file_is_not_read(bundle_path: Path, publisher: PublisherKey) -> None:
    with (bundle_path / MODEL_FILE).open("r+b") as file:
        file.truncate(1 << 31)
    _refused(bundle_path, publisher, BundleTampered, MODEL_FILE)


def test_an_unknown_publisher(bundle_path: Path, publisher: PublisherKey) -> None:
    _refused(bundle_path, PublisherKey.create(), UntrustedPublisher, publisher.public.hex()[:16])
    two = [publisher.public, PublisherKey.create().public]
    _refused(bundle_path, publisher, UntrustedPublisher, "not 2 of the trusted", trusted_keys=two, threshold=2)
    with pytest.raises(ValueError, match="threshold"):
        _open(bundle_path, publisher, threshold=2)


def test_a_second_publisher_meets_the_threshold(bundle_path: Path, publisher: PublisherKey) -> None:
    second = PublisherKey.create()
    sign_bundle(bundle_path, second)
    keys = [publisher.public, second.public]
    assert _open(bundle_path, publisher, trusted_keys=keys, threshold=2).manifest.model_version == 3
    sign_bundle(bundle_path, second)
    assert set(inspect_bundle(bundle_path).signers) == set(keys)


def test_time_and_version(bundle_path: Path, publisher: PublisherKey) -> None:
    expires = inspect_bundle(bundle_path).manifest.expires_at
    _refused(bundle_path, publisher, BundleExpired, "2027-01-15", now=expires)
    _open(bundle_path, publisher, now=expires - 1)
    _refused(bundle_path, publisher, BundleTooOld, "version 4 is active", minimum_version=4)


def test_files_that_nobody_signed(bundle_path: Path, publisher: PublisherKey) -> None:
    (bundle_path / "extra.so").write_bytes(b"")
    _refused(bundle_path, publisher, BundleTampered, "extra.so")


@pytest.mark.parametrize("name", [MODEL_FILE, MANIFEST_FILE])
def test_links_folders_and_pipes_are_no_files(bundle_path: Path, publisher: PublisherKey, name: str) -> None:
    elsewhere = bundle_path.parent / "elsewhere"
    (bundle_path / name).rename(elsewhere)
    (bundle_path / name).symlink_to(elsewhere)
    _refused(bundle_path, publisher, BundleTampered, name)
    (bundle_path / name).unlink()
    (bundle_path / name).mkdir()
    _refused(bundle_path, publisher, BundleTampered, name)
    (bundle_path / name).rmdir()
    os.mkfifo(bundle_path / name)
    _refused(bundle_path, publisher, BundleTampered, name)


def test_paths_out_of_the_bundle_are_refused_even_when_signed(bundle_path: Path, publisher: PublisherKey) -> None:
    content = json.loads((bundle_path / MANIFEST_FILE).read_bytes())
    content["files"]["../secret"] = content["files"][README_FILE]
    raw = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    _sign_raw(bundle_path, raw, publisher)
    _refused(bundle_path, publisher, ManifestInvalid, "secret")


def _sign_raw(path: Path, raw: bytes, key: PublisherKey) -> None:
    signature = key.sign(raw)
    row = {"key": signature.key.hex(), "signature": signature.signature.hex()}
    (path / MANIFEST_FILE).write_bytes(raw)
    (path / SIGNATURE_FILE).write_text(json.dumps({"version": 1, "signatures": [row]}))


@pytest.mark.parametrize(("field", "value"), [("n_items", 41), ("levels", 2), ("codebook_size", 9)])
def test_a_catalog_that_is_not_the_manifests(
    tmp_path: Path, catalog: Catalog, manifest_for: Manifests, publisher: PublisherKey, field: str, value: int
) -> None:
    contents = {MODEL_FILE: b"m", CATALOG_FILE: catalog.to_bytes()}
    write_bundle(tmp_path / "b", manifest_for(contents, **{field: value}), contents)
    sign_bundle(tmp_path / "b", publisher)
    with pytest.raises(CatalogInvalid, match="manifest says"):
        _open(tmp_path / "b", publisher)


def test_a_signed_catalog_that_is_none(tmp_path: Path, manifest_for: Manifests, publisher: PublisherKey) -> None:
    contents = {MODEL_FILE: b"m", CATALOG_FILE: b"no catalog"}
    write_bundle(tmp_path / "b", manifest_for(contents), contents)
    sign_bundle(tmp_path / "b", publisher)
    with pytest.raises(CatalogInvalid):
        _open(tmp_path / "b", publisher)


def test_nothing_is_there(tmp_path: Path, publisher: PublisherKey) -> None:
    _refused(tmp_path / "nothing", publisher, BundleMissing, "no bundle")
    _refused(tmp_path, publisher, BundleMissing, MANIFEST_FILE)


def test_inspection_trusts_nobody_and_says_what_is_wrong(bundle_path: Path, publisher: PublisherKey) -> None:
    facts = inspect_bundle(bundle_path)
    assert facts.signers == (publisher.public,)
    assert facts.damage is None
    (bundle_path / MODEL_FILE).write_bytes(b"other")
    assert MODEL_FILE in str(inspect_bundle(bundle_path).damage)
    (bundle_path / SIGNATURE_FILE).unlink()
    assert inspect_bundle(bundle_path).signers == ()


def test_a_replaced_bundle_is_the_new_one_and_loses_its_signature(
    bundle_path: Path, catalog: Catalog, manifest_for: Manifests, publisher: PublisherKey
) -> None:
    contents = {MODEL_FILE: b"new", CATALOG_FILE: catalog.to_bytes()}
    write_bundle(bundle_path, manifest_for(contents, model_version=4), contents)
    _refused(bundle_path, publisher, BundleMissing, SIGNATURE_FILE)
    sign_bundle(bundle_path, publisher)
    assert _open(bundle_path, publisher).model == b"new"
    assert [entry.name for entry in bundle_path.parent.iterdir()] == [bundle_path.name]


def test_writing_never_replaces_what_is_no_bundle(tmp_path: Path, catalog: Catalog, manifest_for: Manifests) -> None:
    contents = {MODEL_FILE: b"m", CATALOG_FILE: catalog.to_bytes()}
    folder = tmp_path / "documents"
    folder.mkdir()
    write_bundle(folder, manifest_for(contents), contents)
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleMissing, match="not a bundle"):
        write_bundle(folder, manifest_for(contents), contents)
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert [entry.name for entry in tmp_path.iterdir()] == ["documents"]


def test_a_failed_exchange_puts_the_old_bundle_back(
    bundle_path: Path, catalog: Catalog, manifest_for: Manifests, publisher: PublisherKey, monkeypatch: Any
) -> None:
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "fresh":
            raise OSError("disk on fire")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    contents = {MODEL_FILE: b"new", CATALOG_FILE: catalog.to_bytes()}
    with pytest.raises(OSError, match="fire"):
        write_bundle(bundle_path, manifest_for(contents), contents)
    monkeypatch.undo()
    assert _open(bundle_path, publisher).model != b"new"
    assert [entry.name for entry in bundle_path.parent.iterdir()] == [bundle_path.name]


def test_contents_and_manifest_belong_together(tmp_path: Path, manifest_for: Manifests) -> None:
    manifest = manifest_for({MODEL_FILE: b"m", CATALOG_FILE: b"c"})
    with pytest.raises(BundleTampered, match="file_entries"):
        write_bundle(tmp_path / "b", manifest, {MODEL_FILE: b"m", CATALOG_FILE: b"other"})
    assert not (tmp_path / "b").exists()


def test_only_a_whole_bundle_is_signed(bundle_path: Path, publisher: PublisherKey) -> None:
    before = (bundle_path / SIGNATURE_FILE).read_bytes()
    (bundle_path / MODEL_FILE).write_bytes(b"swapped")
    with pytest.raises(BundleTampered):
        sign_bundle(bundle_path, PublisherKey.create())
    assert (bundle_path / SIGNATURE_FILE).read_bytes() == before
