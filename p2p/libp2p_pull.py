"""Requests and answers over a libp2p stream, in turn: a 4-byte big-endian length and that many bytes each way.

A stream may carry many requests, one after the other, because opening one costs several round trips and most of a
request's CPU. The length prefix matters: a killed peer ends its stream exactly as a polite one does. Both sides keep
reading while data comes, because py-libp2p resets a stream whose reader pauses for more than 5 s. Knows nothing of what
is asked.
"""

from __future__ import annotations

import logging
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
_IDLE_S = 60.0
_KEEP_S = 30.0  # shorter, so that whoever asks lets go of a stream before whoever answers does
_READ_BYTES = 64 * 1024

logger = logging.getLogger("meritrec.p2p")


class BadFrame(Exception):
    """A frame ended early or announced more than the limit."""


class TooLong(BadFrame):
    """A frame announced more than the limit."""


async def write_frame(stream: Any, data: bytes) -> None:
    """Write one frame."""
    await stream.write(len(data).to_bytes(4, "big") + data)


async def read_frame(stream: Any, limit: int, begun: bytes = b"") -> bytes:
    """Read one frame, of which some bytes may have been read before.

    Raises:
        BadFrame: the stream ended within the frame, or the frame is longer than `limit`.
    """
    length = int.from_bytes(begun + await _read_exactly(stream, 4 - len(begun)), "big")
    if length > limit:
        raise TooLong(f"a frame of {length} bytes; at most {limit} are taken")
    return await _read_exactly(stream, length)


async def _read_exactly(stream: Any, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        chunk = await stream.read(min(_READ_BYTES, length - len(data)))
        if not chunk:
            raise BadFrame(f"the stream ended after {len(data)} of {length} bytes")
        data += chunk
    return bytes(data)


class PullClient:
    """Asks one peer, over at most `MAX_CONCURRENT_PER_PEER` streams, which are kept for a while.

    Args:
        open_stream: opens another stream to the peer.
    """

    def __init__(self, open_stream: Callable[[], Awaitable[Any]]) -> None:
        self._open = open_stream
        self._limit = trio.CapacityLimiter(MAX_CONCURRENT_PER_PEER)
        self._idle: list[tuple[Any, float]] = []

    async def ask(self, data: bytes) -> bytes:
        """Send a request and return the answer.

        Raises:
            RequestFailed: the answer is above `MAX_RESPONSE_BYTES` or incomplete.
            Exception: whatever the library raises.
        """
        async with self._limit:
            stream = await self._kept()
            if stream is not None:
                try:
                    return await self._ask(stream, data)
                except RequestFailed:
                    raise
                except Exception as error:  # the peer let go of the stream meanwhile, which says nothing of a new one
                    logger.debug("a kept stream had ended: %r", error)
            try:
                return await self._ask(await self._open(), data)
            except BadFrame as error:
                raise RequestFailed(f"unusable answer: {error}") from error

    async def _kept(self) -> Any | None:
        while self._idle:
            stream, since = self._idle.pop()
            if trio.current_time() - since < _KEEP_S:
                return stream
            await reset_quietly(stream)
        return None

    async def _ask(self, stream: Any, data: bytes) -> bytes:
        answered = False
        try:
            await write_frame(stream, data)
            answer = await read_frame(stream, MAX_RESPONSE_BYTES)
            answered = True
        except TooLong as error:
            raise RequestFailed(f"unusable answer: {error}") from error
        finally:
            if not answered:
                with trio.CancelScope(shield=True):
                    await reset_quietly(stream)
        self._idle.append((stream, trio.current_time()))
        return answer


class PullServer:
    """Answers requests; refuses more than `MAX_CONCURRENT_PER_PEER` streams of one peer at a time.

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
            raise BadFrame(f"more than {MAX_CONCURRENT_PER_PEER} streams of one peer at a time")
        self._active[peer] += 1
        try:
            while await self._serve_one(peer, stream):
                pass
            await stream.close()
        finally:
            self._active[peer] -= 1
            if not self._active[peer]:
                del self._active[peer]

    async def _serve_one(self, peer: PeerId, stream: Any) -> bool:
        """Answer the next request; return whether there was one."""
        with trio.move_on_after(_IDLE_S) as waiting:
            first = await stream.read(1)
        if waiting.cancelled_caught or not first:
            return False
        with trio.fail_after(_SERVE_TIMEOUT_S):
            request = await read_frame(stream, MAX_REQUEST_BYTES, first)
            await write_frame(stream, await self._answer(peer, request))
        return True
