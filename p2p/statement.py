"""What a key can say: a record, or as its last word a hand-over. Peers pass both on in the same way."""

from __future__ import annotations

from collections.abc import Callable

from p2p.handover import SignedHandOver, open_hand_over
from p2p.record import SignedRecord, open_record

Statement = SignedRecord | SignedHandOver

Opener = Callable[[bytes], Statement]
"""Reads and verifies a statement, as `open_statement` does."""

_THREE = b"\x93"  # msgpack's header of an array of three: body and two signatures


def open_statement(data: bytes) -> Statement:
    """Read and verify a statement; the bytes may come from anyone.

    Raises:
        RecordInvalid: with the reason.
    """
    return open_hand_over(data) if data.startswith(_THREE) else open_record(data)
