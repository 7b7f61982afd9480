"""The status that a running peer leaves for others to read: whole, checked, readable."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from p2p import Counters, NodeStatus, PeerId, Rejected
from sdk.errors import NotConnected
from sdk.status import read_status, remove_status, status_text, write_status

STATUS = NodeStatus(
    peers=(PeerId(bytes(32)),),
    records=7,
    record_bytes=2048,
    distrusted=frozenset({PeerId(b"\x01" * 32)}),
    shut_out=(),
    counters=Counters(5, Counter({Rejected.STALE: 3, Rejected.BAD_SIGNATURE: 4}), 10, 11, 1024, 4096, 2),
)


def test_what_was_written_is_read_and_shown(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS, ["/ip4/127.0.0.1/tcp/1"], now=100.7)
    assert [p.name for p in tmp_path.iterdir()] == ["status.json"]
    content = read_status(tmp_path)
    text = status_text(content, now=103.0)
    for part in ("3 s ago", "1 connected", "7 (2.0 KiB), 5 accepted", "1.0 KiB in (10", "4.0 KiB out", "2 requests"):
        assert part in text
    assert "4 bad signature, 3 stale" in text
    assert "01" * 32 in text
    remove_status(tmp_path)
    remove_status(tmp_path)
    with pytest.raises(NotConnected, match="no `meritrec peer` is running"):
        read_status(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"at": 1}', "[" * 100_000])
def test_a_damaged_status_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(NotConnected):
        read_status(tmp_path)


def test_a_quiet_peer_has_something_to_show_too(tmp_path: Path) -> None:
    quiet = NodeStatus((), 0, 0, frozenset(), (), Counters())
    write_status(tmp_path, quiet, [], 0)
    text = status_text(json.loads((tmp_path / "status.json").read_text()), 0)
    assert "refused     nothing" in text
    assert "shut out    nobody" in text
