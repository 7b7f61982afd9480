"""Request and response over one libp2p stream: a 4-byte big-endian length and that many bytes, once each way.

The length prefix matters: a killed peer ends its stream exactly as a polite one does. Both sides keep reading while
data comes, because py-libp2p resets a stream whose reader pauses for more than 5 s. Knows nothing of what is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from p2p.errors import RequestFailed
from p2p.identity import PeerId
from p2p.libp2p_guard import reset_quietly
from p2p.transport import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES

MAX_CONCURRENT_PER_PEER = 4
_SERVE_TIMEOUT_S = 30.0
_READ_BYTES = 64 * 1024


class BadFrame(Exception):
    """A frame ended early or announced more than the limit."""


async def write_frame(stream: Any, data: bytes) -> None:
    """Write one frame."""
    await stream.write(len(data).to_bytes(4, "big") + data)


async def read_frame(stream: Any, limit: int) -> bytes:
    """Read one frame.

    Raises:
        BadFrame: the stream ended within the frame, or the frame is longer than `limit`.
    """
    length = int.from_bytes(await _read_exactly(stream, 4), "big")
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes; at most {limit} are taken")
    return await _read_exactly(stream, length)


async def _read_exactly(stream: Any, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        chunk = await stream.read(min(_READ_BYTES, length - len(data)))
        if not chunk:
            raise BadFrame(f"the stream ended after {len(data)} of {length} bytes")
        data += chunk
    return bytes(data)


async def ask(stream: Any, data: bytes) -> bytes:
    """Send a request on a fresh stream and return the answer; the stream is used up.

    Raises:
        RequestFailed: the answer is above `MAX_RESPONSE_BYTES` or incomplete.
    """
    done = False
    try:
        await write_frame(stream, data)
        answer = await read_frame(stream, MAX_RESPONSE_BYTES)
        await stream.close()
        done = True
    except BadFrame as error:
        raise RequestFailed(f"unusable answer: {error}") from error
    else:
        return answer
    finally:
        if not done:
            with trio.CancelScope(shield=True):
                await reset_quietly(stream)


class PullServer:
    """Answers requests; refuses a peer that has more than `MAX_CONCURRENT_PER_PEER` under way.

    Args:
        peer_of: returns the peer at the other end of a stream, or None if it has no identity we accept.
        answer: makes the answer.
    """

    def __init__(
        self, peer_of: Callable[[Any], PeerId | None], answer: Callable[[PeerId, bytes], Awaitable[bytes]]
    ) -> None:
        self._peer_of = peer_of
        self._answer = answer
        self._active: defaultdict[PeerId, int] = defaultdict(int)

    async def handle(self, stream: Any) -> None:
        """Serve one stream. What goes wrong is raised, and the guard around stream handlers resets the stream."""
        peer = self._peer_of(stream)
        if peer is None:
            raise BadFrame("the peer has no Ed25519 identity")
        if self._active[peer] >= MAX_CONCURRENT_PER_PEER:
            raise BadFrame(f"more than {MAX_CONCURRENT_PER_PEER} requests of one peer at a time")
        self._active[peer] += 1
        try:
            with trio.fail_after(_SERVE_TIMEOUT_S):
                request = await read_frame(stream, MAX_REQUEST_BYTES)
                await write_frame(stream, await self._answer(peer, request))
                await stream.close()
        finally:
            self._active[peer] -= 1
            if not self._active[peer]:
                del self._active[peer]
