from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from server_training.data import movielens_wheel as movielens
from server_training.errors import DataUnavailable

FILES = {"ml-100k.inter": b"events", "ml-100k.item": b"items", "ml-100k.user": b"users"}
INSIDE = "recbole/dataset_example/ml-100k/"


@pytest.fixture(autouse=True)
def pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pins the hashes of the stand-in files: the real ones may not be shipped."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    monkeypatch.setattr(movielens, "MEMBERS", digests)


def wheel(folder: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "recbole-1.2.1-py3-none-any.whl", "w") as archive:
        for name, data in files.items():
            archive.writestr(INSIDE + name, data)
        archive.writestr("../outside.txt", b"must not be extracted")


def test_the_files_are_taken_out_once(tmp_path: Path) -> None:
    calls: list[Path] = []

    def download(folder: Path) -> None:
        calls.append(folder)
        wheel(folder, FILES)

    cache = tmp_path / "cache"
    for _ in range(2):
        folder = movielens.fetch_movielens_wheel(cache, download)
        assert {file.name: file.read_bytes() for file in folder.iterdir()} == FILES
    assert len(calls) == 1
    assert list(cache.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == [cache]
    (folder / "ml-100k.inter").write_bytes(b"damaged")
    movielens.fetch_movielens_wheel(cache, download)
    assert (folder / "ml-100k.inter").read_bytes() == b"events"
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (FILES | {"ml-100k.inter": b"other"}, "ml-100k.inter in .* has not the pinned sha256"),
        ({"ml-100k.inter": b"events"}, "does not hold its files as expected"),
    ],
)
def test_a_wheel_with_other_contents_is_refused(tmp_path: Path, files: dict[str, bytes], expected: str) -> None:
    with pytest.raises(DataUnavailable, match=expected):
        movielens.fetch_movielens_wheel(tmp_path, lambda folder: wheel(folder, files))
    assert list((tmp_path / "ml-100k").iterdir()) == []


def test_no_wheel_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"expected one wheel .* use data of your own with --data PATH"):
        movielens.fetch_movielens_wheel(tmp_path, lambda folder: None)
    with pytest.raises(DataUnavailable, match="--data PATH"):
        movielens.fetch_movielens_wheel(tmp_path, lambda folder: (folder / "x.whl").write_bytes(b"no zip") and None)


def test_being_offline_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:4] == ["-m", "pip", "download"]
        assert command[-1] == "recbole==1.2.1"
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: no route to host\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(DataUnavailable, match=r"\(offline\?\): ERROR: no route to host; use data .* --data PATH"):
        movielens.fetch_movielens_wheel(tmp_path)
