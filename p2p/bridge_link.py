"""One link of a bridge: a secured channel, and messages cut into its frames and put together again. Sans-IO.

A frame's plaintext is 1 byte of kind, 4 bytes of number (big-endian) and a piece; the highest bit of the kind says that
more pieces follow. An answer has the number of its request. Pieces of one message follow each other; at most
`MAX_PARTIAL` messages may be in pieces at a time, and none grows beyond what its kind allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from p2p.channel import MAX_FRAME_BYTES, Channel
from p2p.errors import ChannelBroken
from p2p.identity import Signer
from p2p.noise import TAG_BYTES
from p2p.transport import MAX_BROADCAST_BYTES, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES

MAX_PARTIAL = 8
_HEAD_BYTES = 5
_MORE = 0x80
_PIECE_BYTES = MAX_FRAME_BYTES - TAG_BYTES - _HEAD_BYTES


class Kind(IntEnum):
    """What a message is."""

    BROADCAST = 0
    REQUEST = 1
    ANSWER = 2


_LIMITS = {Kind.BROADCAST: MAX_BROADCAST_BYTES, Kind.REQUEST: MAX_REQUEST_BYTES, Kind.ANSWER: MAX_RESPONSE_BYTES}

Message = tuple[Kind, int, bytes]
"""Kind, number and content."""


class BridgeLink:
    """Messages in, frames out, and the other way round.

    Args:
        signer: this device.
        initiator: whether this side opened the link.

    Attributes:
        channel: the secured channel.
    """

    def __init__(self, signer: Signer, *, initiator: bool) -> None:
        self.channel = Channel(signer, initiator=initiator)
        self._partial: dict[tuple[Kind, int], bytearray] = {}

    def frames_of(self, kind: Kind, number: int, content: bytes) -> Iterator[bytes]:
        """Yield the frames that carry a message; send all of them, in this order, before those of another.

        Raises:
            ChannelBroken: see `Channel.seal`.
        """
        head = number.to_bytes(4, "big")
        starts = range(0, max(1, len(content)), _PIECE_BYTES)
        for start in starts:
            more = _MORE if start != starts[-1] else 0
            yield self.channel.seal(bytes([kind | more]) + head + content[start : start + _PIECE_BYTES])

    def receive(self, frame: bytes) -> tuple[list[bytes], Message | None]:
        """Take a frame; return frames to send, and the message that it completes, if it does.

        Raises:
            ChannelBroken: the peer breaks the rules; close the link.
        """
        to_send, said = self.channel.receive(frame)
        return to_send, None if said is None else self._completed(said)

    def _completed(self, said: bytes) -> Message | None:
        if len(said) < _HEAD_BYTES or said[0] & ~_MORE not in _LIMITS:
            raise ChannelBroken("a frame without a known kind")
        kind, number = Kind(said[0] & ~_MORE), int.from_bytes(said[1:_HEAD_BYTES], "big")
        pieces = self._partial.setdefault((kind, number), bytearray())
        pieces += said[_HEAD_BYTES:]
        if len(pieces) > _LIMITS[kind] or len(self._partial) > MAX_PARTIAL:
            raise ChannelBroken(f"a {kind.name.lower()} is too large, or too many messages are in pieces")
        if said[0] & _MORE:
            return None
        del self._partial[kind, number]
        return kind, number, bytes(pieces)
