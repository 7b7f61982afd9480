"""Files from peer to peer, over the same requests as records: a head that says what there is, then parts by hash.

p2p knows nothing of what is in them. Whoever fetches checks the head (a signed manifest, say) and then knows length and
hash of every file, so that nobody can send more than was announced or anything else. Wire format, msgpack like all
requests (`p2p.messages`), with two more kinds:

    [1, 5, topic]              topic: 16 bytes; answered by the head, at most 512 KiB
    [1, 6, digest, offset]     digest: SHA-256 of a file; answered by its bytes from there on, at most 256 KiB

An empty answer declines: there is nothing, or the asker has had its share for now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from p2p.errors import RequestFailed
from p2p.identity import PeerId
from p2p.messages import VERSION
from p2p.quota import Quota, Rate
from p2p.transport import Transport
from p2p.wire import is_int, is_key, pack, unpack

TOPIC_BYTES = 16
FILE_DIGEST_BYTES = 32
MAX_HEAD_BYTES = 512 * 1024
PART_BYTES = 256 * 1024
_MAX_OFFSET = 1 << 40
_ASK_HEAD, _ASK_PART = 5, 6
_PER_PEER = Rate(burst=64 << 20, per_s=512 << 10)
_TOGETHER = Rate(burst=256 << 20, per_s=2 << 20)
_KINDS = {_ASK_HEAD, _ASK_PART}
_LIMITS = {"max_array_len": 4, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}
_HEADER = {bytes([0x90 + length, VERSION, kind]) for length in (3, 4) for kind in _KINDS}


class FileShelf(Protocol):
    """What a device offers. Called on threads of the transport."""

    def head(self, topic: bytes) -> bytes:
        """Return what there is on a topic; nothing if there is nothing."""
        ...

    def part(self, digest: bytes, offset: int, most: int) -> bytes:
        """Return at most so many bytes of a file; nothing if it is not offered, or ends before `offset`."""
        ...


class FileOffers:
    """Answers peers who ask for files, each within its share.

    Args:
        shelf: what is offered.
        timer: seconds since whenever; they should pass though the clock be set.
        per_peer: bytes that one peer gets.
        together: bytes that all get.
    """

    def __init__(
        self,
        shelf: FileShelf,
        timer: Callable[[], float],
        per_peer: Rate = _PER_PEER,
        together: Rate = _TOGETHER,
    ) -> None:
        self._shelf = shelf
        self._timer = timer
        self._per_peer = Quota(per_peer)
        self._together = Quota(together, 1)

    def answer(self, peer: PeerId, data: bytes) -> bytes:
        """Answer a request that `is_file_request`; nothing, when it is malformed, too much, or not offered."""
        asked = _decode(data)
        if asked is None:
            return b""
        now = self._timer()
        if not (self._per_peer.allows(peer, now, PART_BYTES) and self._together.allows(None, now, PART_BYTES)):
            return b""
        if len(asked) == 1:
            found = self._shelf.head(asked[0])
            found = found if len(found) <= MAX_HEAD_BYTES else b""
        else:
            found = self._shelf.part(asked[0], asked[1], PART_BYTES)[:PART_BYTES]
        self._per_peer.take(peer, now, min(len(found), PART_BYTES))
        self._together.take(None, now, min(len(found), PART_BYTES))
        return found


def is_file_request(data: bytes) -> bool:
    """Return whether a request is one of these two kinds."""
    return data[:3] in _HEADER


def ask_head(transport: Transport, peer: PeerId, topic: bytes, timeout_s: float = 10.0) -> bytes:
    """Ask a connected peer what it has on a topic; empty if it has nothing, or does not give it.

    Raises:
        RequestFailed: no usable answer.
    """
    found = transport.request(peer, pack([VERSION, _ASK_HEAD, topic]), timeout_s)
    if len(found) > MAX_HEAD_BYTES:
        raise RequestFailed(f"{peer.hex()} sent a head of {len(found)} bytes; at most {MAX_HEAD_BYTES} are taken")
    return found


def ask_part(transport: Transport, peer: PeerId, digest: bytes, offset: int, timeout_s: float = 10.0) -> bytes:
    """Ask a connected peer for a file's next bytes; empty if it does not give them now.

    Raises:
        RequestFailed: no usable answer.
    """
    found = transport.request(peer, pack([VERSION, _ASK_PART, digest, offset]), timeout_s)
    if len(found) > PART_BYTES:
        raise RequestFailed(f"{peer.hex()} sent a part of {len(found)} bytes; at most {PART_BYTES} are taken")
    return found


def _decode(data: bytes) -> tuple[bytes] | tuple[bytes, int] | None:
    """Return (topic,) or (digest, offset); None for anything else."""
    try:
        content = unpack(data, _LIMITS)
    except ValueError:
        return None
    if not isinstance(content, list) or len(content) < 3:
        return None
    if content[1] == _ASK_HEAD and len(content) == 3 and is_key(content[2], TOPIC_BYTES):
        return (content[2],)
    if (
        content[1] == _ASK_PART
        and len(content) == 4
        and is_key(content[2], FILE_DIGEST_BYTES)
        and is_int(content[3], 0, _MAX_OFFSET)
    ):
        return content[2], content[3]
    return None
