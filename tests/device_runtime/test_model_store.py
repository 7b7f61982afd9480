"""Installing, going back, and everything that must leave the active model alone."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_runtime import (
    CATALOG_FILE,
    MODEL_FILE,
    PUBLISHERS_FILE,
    Bundle,
    BundleError,
    BundleExpired,
    BundleMissing,
    BundleTampered,
    BundleTooOld,
    Catalog,
    DeviceError,
    Manifest,
    ModelFailed,
    ModelStore,
    PublisherKey,
    PublisherSet,
    SmokeReport,
    Statement,
    StoreInvalid,
    UntrustedPublisher,
    sign_bundle,
    statements_to_bytes,
    write_bundle,
)
from device_runtime.model_store import STATE_FILE

NOW = 1_750_000_000
ROOT = Path(__file__).parents[2]
Maker = Callable[..., Path]


def _fine(folder: Path) -> SmokeReport:
    assert (folder / MODEL_FILE).is_file()
    return SmokeReport("none", 1.0, 1.0, crashed_apart=False)


@pytest.fixture
def make(tmp_path: Path, catalog: Catalog, manifest_for: Callable[..., Manifest], publisher: PublisherKey) -> Maker:
    def made(version: int, *, program: bytes = b"a program", key: PublisherKey = publisher, **changes: Any) -> Path:
        path = tmp_path / f"bundle-{version}"
        contents = {MODEL_FILE: program, CATALOG_FILE: catalog.to_bytes()}
        write_bundle(path, manifest_for(contents, model_version=version, **changes), contents)
        sign_bundle(path, key)
        return path

    return made


@pytest.fixture
def store(tmp_path: Path, publisher: PublisherKey) -> ModelStore:
    return ModelStore.open(tmp_path / "models", trusted_keys=[publisher.public], smoke=_fine)


def _version(store: ModelStore) -> int:
    return store.active(now=NOW).manifest.model_version


def _models(store: ModelStore) -> list[str]:
    return sorted(path.name.split("-")[0] for path in store._folder.iterdir() if path.is_dir())


def test_versions_rise_and_one_step_back_is_possible(store: ModelStore, make: Maker) -> None:
    with pytest.raises(BundleMissing, match="no model is installed"):
        store.active(now=NOW)
    for version in (1, 2, 5):
        assert store.install(make(version), now=NOW).runtime == "none"
        assert _version(store) == version
    assert _models(store) == ["v2", "v5"]
    assert store.rollback(now=NOW).manifest.model_version == 2
    assert _version(store) == 2
    assert _models(store) == ["v2"]
    with pytest.raises(StoreInvalid, match="no previous model"):
        store.rollback(now=NOW)
    with pytest.raises(BundleTooOld, match="version 5 was installed"):  # the one gone back from stays out
        store.install(make(5), now=NOW)
    store.install(make(6), now=NOW)
    assert _version(store) == 6


def test_a_zip_is_installed_too_and_the_source_may_go(store: ModelStore, make: Maker, tmp_path: Path) -> None:
    source = make(1)
    packed = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", source))
    stored = tmp_path / "stored.zip"
    subprocess.run(
        [sys.executable, "-c", _STORE_ZIP, str(source), str(stored)], check=True, cwd=ROOT, capture_output=True
    )
    with pytest.raises(BundleTampered, match="compressed"):
        store.install(packed, now=NOW)
    store.install(stored, now=NOW)
    stored.unlink()
    shutil.rmtree(source)
    assert _version(store) == 1


_STORE_ZIP = """
import pathlib, sys, zipfile
with zipfile.ZipFile(sys.argv[2], "w") as archive:
    for path in pathlib.Path(sys.argv[1]).iterdir():
        archive.write(path, path.name)
"""


def _refused(store: ModelStore, source: Path, error: type[Exception], match: str = "", **options: Any) -> None:
    before = store.state()
    with pytest.raises(error, match=match):
        store.install(source, **({"now": NOW} | options))
    assert store.state() == before
    assert _version(store) == 1
    assert _models(store) == ["v1"]


def test_whatever_is_wrong_leaves_the_active_model(store: ModelStore, make: Maker, publisher: PublisherKey) -> None:
    store.install(make(1), now=NOW)
    _refused(store, make(1), BundleTooOld)
    _refused(store, make(2, key=PublisherKey.create()), UntrustedPublisher)
    _refused(store, make(2, expires_at=NOW), BundleExpired)
    _refused(store, make(2, n_items=41), BundleError, "41")
    _refused(store, Path("/nowhere"), BundleMissing)
    damaged = make(2)
    (damaged / MODEL_FILE).write_bytes(b"another program")
    _refused(store, damaged, BundleTampered)


def test_a_failed_trial_leaves_the_active_model(tmp_path: Path, make: Maker, publisher: PublisherKey) -> None:
    good = ModelStore.open(tmp_path / "models", trusted_keys=[publisher.public], smoke=_fine)
    good.install(make(1), now=NOW)
    real = ModelStore.open(tmp_path / "models", trusted_keys=[publisher.public])
    _refused(real, make(2), ModelFailed, "not an ExecuTorch program")


def test_a_real_program_is_tried_in_another_process(
    tmp_path: Path, make: Maker, publisher: PublisherKey, exported: Any
) -> None:
    store = ModelStore.open(tmp_path / "models", trusted_keys=[publisher.public])
    report = store.install(make(1, program=exported.program), now=NOW)
    assert report.runtime == "native"
    assert report.crashed_apart
    assert report.open_ms > report.answer_ms > 0


def test_a_program_that_crashes_or_hangs_only_ends_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from device_runtime import smoke_run

    for body, expected in (
        ("import os; os.abort()", "signal 6"),
        ("import time; time.sleep(60)", "no answer within 1 s"),
    ):
        fake = tmp_path / "python"
        fake.write_text(f"#!{sys.executable}\n{body}\n")
        fake.chmod(0o700)
        with monkeypatch.context() as patched:
            patched.setattr("device_runtime.smoke.sys.executable", str(fake))
            with pytest.raises(ModelFailed, match=expected):
                smoke_run(tmp_path, timeout_s=1)


def test_files_that_changed_after_installation_are_not_run(store: ModelStore, make: Maker) -> None:
    store.install(make(1), now=NOW)
    store.install(make(2), now=NOW)
    active = store.state().active
    assert active is not None
    (store._folder / active.folder / MODEL_FILE).write_bytes(b"a pr0gram")
    with pytest.raises(BundleTampered):
        store.active(now=NOW)
    assert store.rollback(now=NOW).manifest.model_version == 1


def test_expiry_is_checked_at_every_opening(store: ModelStore, make: Maker) -> None:
    store.install(make(1, expires_at=NOW + 10), now=NOW)
    store.install(make(2, expires_at=NOW + 20), now=NOW)
    with pytest.raises(BundleExpired):
        store.active(now=NOW + 20)
    with pytest.raises(BundleExpired):
        store.rollback(now=NOW + 15)
    assert store.active(now=NOW + 15).manifest.model_version == 2


def test_replaced_keys_can_sign_nothing_any_more(store: ModelStore, make: Maker, publisher: PublisherKey) -> None:
    fresh = PublisherKey.create()
    statement = Statement(PublisherSet(1, (fresh.public,), 1)).signed_by(publisher).signed_by(fresh)
    store.install(make(1), now=NOW)
    rotated = make(2, key=fresh)
    (rotated / PUBLISHERS_FILE).write_bytes(statements_to_bytes([statement]))
    store.install(rotated, now=NOW)
    assert store.state().publishers == statement.publishers
    with pytest.raises(UntrustedPublisher):
        store.install(make(3), now=NOW)  # by the old key, without the chain
    assert store.rollback(now=NOW).manifest.model_version == 1  # it was signed by those trusted then
    with pytest.raises(UntrustedPublisher):
        store.install(make(4), now=NOW)
    store.install(make(5, key=fresh), now=NOW)
    assert _version(store) == 5


def test_an_app_may_pin_other_keys_until_a_chain_leads_away(
    store: ModelStore, make: Maker, publisher: PublisherKey, tmp_path: Path
) -> None:
    store.install(make(1), now=NOW)
    fresh = PublisherKey.create()
    other = ModelStore.open(tmp_path / "models", trusted_keys=[fresh.public], smoke=_fine)
    other.install(make(2, key=fresh), now=NOW)
    assert _version(other) == 2


def test_one_process_at_a_time_and_no_traces_of_one_that_died(store: ModelStore, make: Maker) -> None:
    store.install(make(1), now=NOW)
    with (store._folder / "models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _refused(store, make(2), StoreInvalid, "another process")
    (store._folder / ".staged-1").mkdir()
    (store._folder / "v7-abc").mkdir()
    store.install(make(2), now=NOW)
    assert _models(store) == ["v1", "v2"]
    assert sorted(path.name for path in store._folder.iterdir() if path.is_file()) == ["models.json", "models.lock"]


def test_a_full_disk_leaves_the_active_model(store: ModelStore, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    store.install(make(1), now=NOW)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("device_runtime.model_store.write_durably", full)
    _refused(store, make(2), StoreInvalid, "No space left")


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"active": 3},
        {"active": {"folder": "../evil", "version": 1, "manifest_sha256": "", "publishers": {}}},
        {"publishers": None},
        {"publishers": {"keys": ["00"], "threshold": 1, "version": 0}},
        {"highest_version": "x"},
    ],
)
def test_a_damaged_state_is_named(store: ModelStore, make: Maker, change: dict[str, Any]) -> None:
    store.install(make(1), now=NOW)
    path = store._folder / STATE_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreInvalid, match=r"models.json is damaged"):
        store.active(now=NOW)


def test_a_folder_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="cannot hold models"):
        ModelStore.open(tmp_path / "file", trusted_keys=[bytes(32)])


def test_the_active_model_is_mapped(store: ModelStore, make: Maker) -> None:
    store.install(make(1), now=NOW)
    bundle: Bundle = store.active(now=NOW)
    assert isinstance(bundle.model, memoryview)
    assert not bundle.catalog.packed.flags.owndata
