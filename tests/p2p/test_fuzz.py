"""Bytes that nobody would send in good faith: a million of them, and those that once did harm."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2p import messages
from p2p.errors import RecordInvalid
from p2p.handover import open_hand_over
from p2p.record import decode_record, open_record
from p2p.statement import open_statement
from p2p.transport import MAX_REQUEST_BYTES
from tests.p2p.gossip_lab import PEER, Lab, questions

ROOT = Path(__file__).parents[2]
INPUTS = 1_000_000
MAX_BYTES = 64 << 20
DECODERS = (
    open_record,
    decode_record,
    open_hand_over,
    open_statement,
    messages.decode_announce,
    messages.decode_request,
    messages.decode_comparison,
    messages.decode_interest,
    messages.decode_bodies,
)
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it has wheels for Linux on x86-64 only; nothing was fuzzed here",
)


def fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.p2p.fuzz_decoders", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)


def executed(output: str) -> int:
    (count,) = re.findall(r"^executed (\d+) inputs$", output, re.MULTILINE)
    return int(count)


@pytest.mark.slow
@needs_atheris
def test_a_million_inputs_raise_nothing_but_refusals_and_cost_little() -> None:
    done = fuzz("--runs", str(INPUTS), "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert executed(done.stdout) >= INPUTS


@pytest.mark.slow
@needs_atheris
@pytest.mark.parametrize(("fault", "said"), [("raise", "IndexError"), ("allocate", "MemoryError"), ("hang", "Timeout")])
def test_a_fault_behind_the_signature_is_found(fault: str, said: str) -> None:
    done = fuzz("--runs", "50000", "--target", "open_record", "--fault", fault)
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout
    assert executed(done.stdout) < 50_000


def peak_of(read: Callable[[bytes], object], data: bytes) -> int:
    """Return how many bytes it takes to refuse some bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(RecordInvalid):
            read(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", DECODERS)
@pytest.mark.parametrize(
    "header", [b"\x91", b"\xdc\x00\x03", b"\xdc\x00\x40", b"\xdc\x2e\xe0", b"\xdd\x00\x00\x2e\xe0"]
)
def test_headers_without_content_cost_little_memory(read: Callable[[bytes], object], header: bytes) -> None:
    for depth in (10, 1000, MAX_REQUEST_BYTES // len(header)):
        assert peak_of(read, header * depth) < MAX_BYTES


@pytest.mark.parametrize("depth", [100, 900, 1000, 1020])
@pytest.mark.parametrize("place", range(6))
def test_a_list_in_a_list_in_a_list_is_refused_as_any_other_field(depth: int, place: int) -> None:
    fields = [b"\x01", b"\xc4\x20" + bytes(32), b"\x01", b"\x00", b"\x90", b"\x90"]
    fields[place] = b"\x91" * depth + b"\x90"
    body = b"\x96" + b"".join(fields)
    peak_of(decode_record, body)
    peak_of(open_statement, msgpack.packb([body, bytes(64)]))
    lab = Lab()
    lab.meet()
    lab.core.on_response(
        PEER.peer_id, messages.encode(messages.AskOwn()), messages.encode_bodies([msgpack.packb([body, bytes(64)])])
    )
    assert lab.core.counters.rejected.total() == 1
    lab.store.close()


@given(st.lists(st.tuples(st.sampled_from(["broadcast", "request", "answer"]), st.binary(max_size=80)), max_size=8))
def test_arbitrary_bytes_never_raise_out_of_the_core(said: list[tuple[str, bytes]]) -> None:
    lab = Lab()
    asked = [messages.encode(question) for question in questions(lab.meet())]
    for way, data in said:
        if way == "broadcast":
            lab.core.on_broadcast(PEER.peer_id, data)
        elif way == "request":
            lab.core.on_request(PEER.peer_id, data)
        elif asked:
            lab.core.on_response(PEER.peer_id, asked.pop(), data)
    lab.core.tick()
    lab.store.close()
