"""Bundles as zips, and the tricks a zip allows."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from device_runtime import (
    MODEL_FILE,
    Bundle,
    BundleError,
    BundleMissing,
    BundleTampered,
    DeviceError,
    PublisherKey,
    read_files,
    sign_bundle,
)

NOW = 1_750_000_000


def _open(path: Path, key: PublisherKey) -> Bundle:
    return Bundle.open(path, trusted_keys=[key.public], now=NOW)


def _zip(folder: Path, *, compression: int = zipfile.ZIP_STORED, skip: str = "") -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", compression) as archive:
        for file in sorted(folder.iterdir()):
            if file.name != skip:
                archive.write(file, file.name)
    return target


def test_a_zip_is_the_same_bundle(bundle_path: Path, publisher: PublisherKey) -> None:
    folder, zipped = _open(bundle_path, publisher), _open(_zip(bundle_path), publisher)
    assert zipped.model == folder.model
    assert zipped.manifest == folder.manifest
    assert zipped.catalog.to_bytes() == folder.catalog.to_bytes()
    assert read_files(_zip(bundle_path)) == read_files(bundle_path)


def test_compression_is_refused(bundle_path: Path, publisher: PublisherKey) -> None:
    with pytest.raises(BundleTampered, match="compressed"):
        _open(_zip(bundle_path, compression=zipfile.ZIP_DEFLATED), publisher)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "folder/", "a/b", ".hidden", "..", "C:\\evil"])
def test_odd_names_are_refused(bundle_path: Path, publisher: PublisherKey, name: str) -> None:
    path = _zip(bundle_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(BundleTampered, match="plain name"):
        _open(path, publisher)


def test_doubled_names_are_refused(bundle_path: Path, publisher: PublisherKey) -> None:
    path = _zip(bundle_path)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MODEL_FILE, b"another")
    with pytest.raises(BundleTampered, match="twice"):
        _open(path, publisher)


def test_extra_and_missing_entries_are_refused(bundle_path: Path, publisher: PublisherKey) -> None:
    with pytest.raises(BundleMissing, match=MODEL_FILE):
        _open(_zip(bundle_path, skip=MODEL_FILE), publisher)
    path = _zip(bundle_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("extra", b"")
    with pytest.raises(BundleTampered, match="extra"):
        _open(path, publisher)


def test_too_many_entries_are_refused(tmp_path: Path, publisher: PublisherKey) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(65):
            archive.writestr(f"f{number}", b"")
    with pytest.raises(BundleTampered, match="65 files"):
        _open(path, publisher)


def test_a_length_that_lies_is_refused(bundle_path: Path, publisher: PublisherKey) -> None:
    path = _zip(bundle_path)
    raw = bytearray(path.read_bytes())
    size = (bundle_path / MODEL_FILE).stat().st_size.to_bytes(4, "little")
    central = raw.rindex(b"PK\1\2", 0, raw.rindex(MODEL_FILE.encode()))
    for offset in (20, 24):  # compressed and full size in the central directory
        assert raw[central + offset : central + offset + 4] == size
        raw[central + offset : central + offset + 4] = (1 << 31).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(BundleTampered):
        _open(path, publisher)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_damage_anywhere_is_refused_or_harmless(
    bundle_path: Path, publisher: PublisherKey, data: st.DataObject
) -> None:
    good = _zip(bundle_path)
    raw = bytearray(good.read_bytes())
    model = _open(good, publisher).model
    for _ in range(data.draw(st.integers(1, 3))):
        # Headers and directory are where a reader can be confused, so half of the changes go there.
        low = data.draw(st.sampled_from([0, raw.index(b"PK\1\2")]))
        raw[data.draw(st.integers(low, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = good.with_name("damaged.zip")
    path.write_bytes(raw)
    try:
        found = _open(path, publisher)
    except BundleError:
        return
    assert found.model == model


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_random_files_are_refused(tmp_path: Path, publisher: PublisherKey, data: bytes) -> None:
    path = tmp_path / "random.zip"
    path.write_bytes(data)
    with pytest.raises(DeviceError):
        _open(path, publisher)


def test_a_zip_is_not_signed_in_place(bundle_path: Path, publisher: PublisherKey) -> None:
    with pytest.raises(BundleMissing, match="sign the folder"):
        sign_bundle(_zip(bundle_path), publisher)
