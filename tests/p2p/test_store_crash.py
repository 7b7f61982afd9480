"""The record store in processes that are killed or run out of disk: what was acknowledged stays, nothing is damaged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from p2p.identity import Identity
from p2p.record import open_record
from p2p.store import RecordStore

WRITER = """
import sys
from pathlib import Path
from p2p.errors import StoreUnavailable
from p2p.identity import Identity
from p2p.record import AdjacencyRecord, ItemEdge, sign_record
from p2p.store import RecordStore

path, first, max_bytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
authors = [Identity.from_seed(bytes([i]) * 32) for i in range(8)]
items = tuple(ItemEdge(i.to_bytes(16, "big"), 1, 1) for i in range(64))
store = RecordStore(path)
if max_bytes:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
version = first
while True:
    batch = [sign_record(AdjacencyRecord(a.peer_id, version, 3600, (), items), a) for a in authors]
    try:
        assert store.put_many(batch) == [None] * len(batch)
        store.raise_own_version(version)
    except StoreUnavailable as error:
        known = {r.version for r in store.records()}  # it still reads
        print("refused", *sorted(known), flush=True)
        break
    print(version, flush=True)
    version += 1
"""


def writer(path: Path, first: int, max_bytes: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(max_bytes)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def whole(path: Path) -> tuple[int, int]:
    """Open the store, which checks every row, and return the version that all authors have, and the own one."""
    store = RecordStore(path)
    try:
        records = store.records()
        assert len(records) == 8
        assert all(open_record(r.to_bytes()) == r for r in records)
        (version,) = {r.version for r in records}  # a batch is there as a whole or not at all
        return version, store.own_version()
    finally:
        store.close()


def test_a_killed_process_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "records.db", 0
    for round_ in range(5):
        process = writer(path, acknowledged + 2)
        assert process.stdout is not None
        for _ in range(3 + 4 * round_):
            acknowledged = int(process.stdout.readline())
        process.kill()
        rest = process.stdout.read().split("\n")
        process.wait()
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        version, own = whole(path)
        assert version - acknowledged in (0, 1)  # the kill may have come between commit and acknowledgement
        assert own - acknowledged in (0, 1)
        acknowledged = version


def test_a_full_disk_refuses_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "records.db"
    process = writer(path, 1, max_bytes=200_000)
    output = process.communicate(timeout=60)[0].split("\n")
    assert process.returncode == 0
    *acknowledged, refused, _ = output
    assert refused.split()[0] == "refused"
    assert len(acknowledged) >= 2
    latest = int(acknowledged[-1])
    assert whole(path)[0] - latest in (0, 1)
    assert set(map(int, refused.split()[1:])) <= {latest, latest + 1}
    store = RecordStore(path)
    author = Identity.from_seed(bytes(32)).peer_id
    assert store.entry(author) is not None
    store.close()
