"""Fuzzes everything that reads a bundle: files, zips, signatures, chains of publishers, catalogs, updates, programs.

    python -m tests.device_runtime.fuzz_bundles --cases 100000 [--seed 1] [--only KIND] [--case N]

Every case starts from a good bundle and spoils it in one way: bytes flipped, cut, swapped with another bundle's, counts
and lengths made absurd, zip structures that no archiver writes; half of them are signed again by a trusted key, so that
the checks behind the signature are reached. A case fails if anything but a named error comes out, if something spoilt
is accepted under a signature that was not made for it, if what is accepted contradicts itself, or if it costs more than
`MAX_SECONDS`, or, in the first cases of a kind, which are watched, `MAX_BYTES`. Programs are tried in forked processes,
as `smoke_run` tries them in a process of their own: they may end those, never this one.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from device_runtime import (
    CATALOG_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    PUBLISHERS_FILE,
    SIGNATURE_FILE,
    Bundle,
    Catalog,
    Delta,
    DeviceError,
    FileEntry,
    PublisherSet,
    Statement,
    manifest_digest,
    sign_delta,
    statements_to_bytes,
    write_delta,
)
from device_runtime.signing import signatures_to_bytes
from tests.device_runtime.hostile import (
    CHAIN,
    ELSE,
    EXPIRES,
    GOOD,
    KEY,
    NOW,
    OLD,
    OTHER,
    STRANGER,
    VERSION,
    Files,
    as_zip,
    manifest,
    signed,
    spoilt,
    spoilt_json,
)
from tests.golden.facts import FOLDER

MAX_SECONDS = 5.0
MAX_BYTES = 64 << 20
WATCHED = 300


class Case:
    """One spoilt bundle, at `path`."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder = folder
        self.rng = rng

    def write(self, files: Files, *, zipped: bool | None = None) -> Path:
        """Write files as a folder or a stored zip."""
        if self.rng.random() < 0.7 if zipped is None else zipped:
            path = self.folder / "bundle.zip"
            path.write_bytes(as_zip(files))
            return path
        path = self.folder / "bundle"
        path.mkdir()
        for name, content in files.items():
            (path / name).write_bytes(content)
        return path


def opened(path: Path, **options: Any) -> Bundle:
    """Open as a device does that runs version `VERSION`."""
    return Bundle.open(path, **({"trusted_keys": [KEY.public], "minimum_version": VERSION, "now": NOW} | options))


def consistent(found: Catalog) -> None:
    """Ask a catalog what a search would ask."""
    rows = np.arange(len(found))
    assert [found.row_of(item) for item in found.ids] == rows.tolist()
    assert all(found.title_of(row) for row in rows.tolist())
    assert np.isfinite(found.features_of(rows)).all()
    low, high = found.ranges(found.codes.astype(np.int64))
    assert (low == rows).all()
    assert (high == rows + 1).all()
    if found.neighbours is not None:
        assert np.isfinite(found.neighbours.prior(rows[None, :5])).all()
    for name in found.categories.names if found.categories is not None else ():
        assert len(found.categories.rows(name).mask()) == len(found)


def files_case(case: Case) -> str:
    """A file of a signed bundle is not the one that was signed, is another bundle's, is missing, or is one too many."""
    rng, files = case.rng, dict(GOOD)
    name = rng.choice(sorted(files))
    way = rng.randrange(5)
    if way < 3:
        files[name] = spoilt(files[name], rng)
    elif way == 3:
        files[name] = ELSE[name]
    elif rng.random() < 0.5:
        del files[name]
    else:
        files[rng.choice(["extra", "a" * 64, "model.pte2"])] = b"x"
    found = opened(case.write(files))
    # The signature file may change where it does not matter; everything else is what was signed.
    assert {**files, SIGNATURE_FILE: b""} == {**GOOD, SIGNATURE_FILE: b""}
    consistent(found.catalog)
    return "accepted: nothing that counts was changed"


def manifest_case(case: Case) -> str:
    """A trusted publisher signed a manifest that makes no sense."""
    spoil = spoilt_json if case.rng.random() < 0.8 else spoilt
    raw = spoil(GOOD[MANIFEST_FILE], case.rng)
    found = opened(case.write(signed(GOOD, raw, KEY)))
    assert found.manifest.to_bytes() == raw
    assert found.manifest.model_version >= VERSION
    assert found.manifest.expires_at > NOW
    consistent(found.catalog)
    return "accepted: another valid manifest"


def catalog_case(case: Case) -> str:
    """A trusted publisher signed a catalog that makes no sense."""
    rng = case.rng
    data = GOOD[CATALOG_FILE] if rng.random() < 0.5 else ELSE[CATALOG_FILE]
    length = int.from_bytes(data[8:12], "little")
    if rng.random() < 0.5:
        header = spoilt_json(data[12 : 12 + length], rng)
        body = data[-(-(12 + length) // 64) * 64 :]
        data = data[:8] + struct.pack("<I", len(header)) + header + bytes(-(12 + len(header)) % 64) + body
    else:
        data = spoilt(data, rng)
    contents = {MODEL_FILE: GOOD[MODEL_FILE], CATALOG_FILE: data}
    found = opened(case.write(signed(contents, manifest(contents).to_bytes(), KEY)))
    found.catalog.check()
    consistent(found.catalog)
    return "accepted: another valid catalog"


def signature_case(case: Case) -> str:
    """Signatures and chains of publishers that lead nowhere."""
    rng, files = case.rng, dict(GOOD)
    way = rng.randrange(5)
    if way == 0:
        files |= signed({}, GOOD[MANIFEST_FILE], STRANGER)
    elif way == 1:
        files[SIGNATURE_FILE] = spoilt_json(GOOD[SIGNATURE_FILE], rng)
    elif way == 2:
        files[PUBLISHERS_FILE] = spoilt_json(CHAIN, rng)
    elif way == 3:
        files[PUBLISHERS_FILE] = spoilt(CHAIN, rng)
    else:
        unsigned = Statement(PublisherSet(1, (STRANGER.public,), 1)).signed_by(STRANGER)
        files |= {PUBLISHERS_FILE: statements_to_bytes([unsigned])} | signed({}, GOOD[MANIFEST_FILE], STRANGER)
    found = opened(case.write(files))
    assert STRANGER.public not in found.publishers.keys
    assert {**files, SIGNATURE_FILE: b"", PUBLISHERS_FILE: b""} == {**GOOD, SIGNATURE_FILE: b"", PUBLISHERS_FILE: b""}
    return "accepted: the signature that counts is there"


def replay_case(case: Case) -> str:
    """Good bundles at the wrong time, or for another threshold."""
    rng = case.rng
    way = rng.randrange(3)
    if way == 0:
        opened(case.write(OLD))
    elif way == 1:
        opened(case.write(GOOD), now=EXPIRES + rng.randrange(1 << 30))
    else:
        opened(case.write(GOOD), trusted_keys=[KEY.public, OTHER.public], threshold=2)
    raise AssertionError("an old, expired or insufficiently signed bundle was accepted")


def zip_case(case: Case) -> str:
    """Archives that lie about names, sizes and contents."""
    rng = case.rng
    data = bytearray(as_zip(GOOD))
    way = rng.randrange(5)
    if way == 0:
        data = bytearray(spoilt(bytes(data), rng))
    elif way == 1:  # a field of a header: versions, flags, method, sizes, names, offsets
        places = [i for i in range(len(data) - 4) if data[i : i + 2] == b"PK"]
        at = rng.choice(places) + rng.randrange(4, 46)
        data[at : at + 2] = rng.choice((b"\0\0", b"\1\0", b"\xff\xff", b"\x08\0", rng.randbytes(2)))
    elif way == 2:  # an entry more, that is there already or has an odd name
        names = [*GOOD, "../evil", "/etc/evil", "folder/", "a/b", "..", ".hidden", "con\0", "é" * 40]
        buffer = io.BytesIO(bytes(data))
        with zipfile.ZipFile(buffer, "a") as archive:
            odd = zipfile.ZipInfo(rng.choice(names))
            odd.external_attr = rng.choice((0, 0o120777 << 16, 0o040755 << 16))
            method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(odd, rng.randbytes(rng.randrange(50)), method)
        data = bytearray(buffer.getvalue())
    elif way == 3:  # a bomb
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in GOOD.items():
                archive.writestr(name, content if name != MODEL_FILE else bytes(1 << 20))
        data = bytearray(buffer.getvalue())
    else:
        data = bytearray(rng.randbytes(rng.randrange(100))) + data + bytearray(rng.randbytes(rng.randrange(100)))
    path = case.folder / "bundle.zip"
    path.write_bytes(bytes(data))
    found = opened(path)
    assert found.manifest.to_bytes() == GOOD[MANIFEST_FILE]
    assert bytes(found.model) == GOOD[MODEL_FILE]
    assert found.catalog.to_bytes() == GOOD[CATALOG_FILE]
    return "accepted: the archive holds what was signed"


def delta_case(case: Case) -> str:
    """Updates that are spoilt, replayed, for another bundle, or signed by strangers."""
    rng = case.rng
    base = opened(case.write(GOOD))
    free = np.setdiff1d(np.arange(8**3), base.catalog.packed)[:2]
    codes = np.stack(np.unravel_index(free, (8,) * 3), axis=1)
    added = Catalog.from_columns(["n1", "n2"], codes, 8, None, np.zeros((2, 2), np.int8), base.catalog.scales)
    fields = {
        "bundle_sha256": manifest_digest(base.manifest.to_bytes()),
        "sequence": 2,
        "created_at": NOW,
        "expires_at": EXPIRES,
        "withdrawn": ("item-3",),
    }
    path = case.folder / "delta"
    write_delta(path, fields, added)
    way, after = rng.randrange(4), 1
    if way == 0:  # signed, then spoilt
        sign_delta(path, KEY)
        target = rng.choice(sorted(p.name for p in path.iterdir()))
        before = (path / target).read_bytes()
        (path / target).write_bytes(spoilt(before, rng))
        valid = (path / target).read_bytes() == before or target == "delta.sig"
    elif way == 1:  # spoilt, then signed
        raw = spoilt_json((path / "delta.json").read_bytes(), rng)
        (path / "delta.json").write_bytes(raw)
        (path / "delta.sig").write_bytes(signatures_to_bytes([KEY.sign(raw, b"meritrec/delta/1\0")]))
        valid = True
    elif way == 2:
        data = spoilt((path / "added.bin").read_bytes(), rng)
        (path / "added.bin").write_bytes(data)
        entry = asdict(FileEntry(hashlib.sha256(data).hexdigest(), len(data)))
        raw = json.dumps(
            json.loads((path / "delta.json").read_bytes()) | {"added": entry}, sort_keys=True, separators=(",", ":")
        ).encode()
        (path / "delta.json").write_bytes(raw)
        (path / "delta.sig").write_bytes(signatures_to_bytes([KEY.sign(raw, b"meritrec/delta/1\0")]))
        valid = True
    else:
        sign_delta(path, rng.choice((KEY, STRANGER)))
        after, valid = rng.choice((1, 2, 3)), True
    found = Delta.open(path, base, trusted=PublisherSet.pinned([KEY.public]), after=after, now=NOW)
    assert valid
    assert found.manifest.sequence > after
    catalog = found.applied_to(base).catalog
    catalog.check()
    consistent(catalog)
    return "accepted: a valid update"


def program_case(case: Case, program: bytes) -> str:
    """A trusted publisher signed a program that is damaged; a forked process opens and runs it."""
    rng = case.rng
    end = int.from_bytes(program[16:24], "little")
    data = bytearray(program)
    way = rng.randrange(4)
    if way == 0:
        data = bytearray(spoilt(program, rng))
    elif way == 1:
        del data[rng.randrange(len(data)) :]
    else:
        for _ in range(rng.choice((1, 1, 2, 3))):
            data[rng.randrange(8, end if way == 2 else len(data))] ^= 1 << rng.randrange(8)
    child = os.fork()
    if child == 0:
        _run_program(bytes(data))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"ended its own process by signal {os.WTERMSIG(status)}"
    outcome = {0: "ran", 1: "refused by name"}.get(os.WEXITSTATUS(status))
    assert outcome is not None, f"the child's exit status was {os.WEXITSTATUS(status)}"
    return outcome


def _run_program(data: bytes) -> None:
    """In the child: 0 ran, 1 a named error, 2 anything else."""
    from device_runtime import open_session

    signal.alarm(20)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    status = 2
    try:
        session = open_session(data, prefer="native")
        for name, info in session.methods.items():
            session.run(name, *(np.zeros(spec.shape, spec.dtype) for spec in info.inputs))
        status = 0
    except (DeviceError, MemoryError):
        status = 1
    finally:
        os._exit(status)


KINDS: dict[str, tuple[int, Callable[..., str]]] = {
    "files": (27, files_case),
    "manifest": (15, manifest_case),
    "catalog": (20, catalog_case),
    "signature": (10, signature_case),
    "replay": (2, replay_case),
    "zip": (15, zip_case),
    "delta": (8, delta_case),
    "program": (3, program_case),
}


def run_case(kind: str, number: int, seed: int, scratch: Path, program: bytes) -> str:
    """Run one case and return what came of it; raises what a case must not raise."""
    folder = scratch / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    case = Case(folder, random.Random(f"{seed}/{kind}/{number}"))
    action = KINDS[kind][1]
    began = time.perf_counter()
    try:
        outcome = action(case, program) if kind == "program" else action(case)
    except DeviceError as error:
        outcome = type(error).__name__
    taken = time.perf_counter() - began
    assert taken < MAX_SECONDS or kind == "program", f"it took {taken:.1f} s"
    return outcome


def main() -> int:
    """Run the cases and print what came of them."""
    parser = argparse.ArgumentParser(description="Fuzz everything that reads a bundle.")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=list(KINDS))
    parser.add_argument("--case", type=int, help="run this one case of --only again")
    parser.add_argument(
        "--program", type=Path, default=FOLDER / MODEL_FILE, help="program to spoil; else the golden one"
    )
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else list(KINDS)
    total = sum(KINDS[kind][0] for kind in kinds)
    program = arguments.program.read_bytes()
    warnings.simplefilter("ignore")  # zipfile's, of names that are there twice
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    executed = 0
    with tempfile.TemporaryDirectory(dir=base) as scratch:
        for kind in kinds:
            count = 1 if arguments.case is not None else max(1, arguments.cases * KINDS[kind][0] // total)
            outcomes: Counter[str] = Counter()
            peak = 0
            tracemalloc.start()
            for number in range(count) if arguments.case is None else (arguments.case,):
                if number == WATCHED:
                    peak = tracemalloc.get_traced_memory()[1]
                    tracemalloc.stop()
                try:
                    outcomes[run_case(kind, number, arguments.seed, Path(scratch), program)] += 1
                except BaseException as error:
                    print(f"{kind} case {number} of seed {arguments.seed}: {type(error).__name__}: {error}")
                    print(f"again: python -m tests.device_runtime.fuzz_bundles --only {kind} --case {number}")
                    raise
            if tracemalloc.is_tracing():
                peak = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            assert peak < MAX_BYTES, f"{kind}: {peak:,} bytes at once"
            executed += count
            found = ", ".join(f"{what} {n:,}" for what, n in outcomes.most_common())
            print(f"{kind}: {count:,} cases: {found}", flush=True)
    print(f"executed {executed} cases")
    return 0


if __name__ == "__main__":
    sys.exit(main())
