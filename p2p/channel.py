r"""A secured channel between two devices over any link that carries frames whole and in order. Sans-IO.

Noise_NN_25519_ChaChaPoly_SHA256 (`p2p.noise`) makes a session key of two ephemeral keys. Then each side sends,
encrypted, its Ed25519 key and a signature over the role and the handshake hash (section 11.2, channel binding), which
is SIGMA's way of naming both sides: whoever sits between the two has another hash. Nothing is handed over before the
other side has proved its key. The signing key may live in a phone's key store: it only signs.
"""

from __future__ import annotations

from p2p.errors import ChannelBroken
from p2p.identity import PEER_ID_BYTES, SIGNATURE_BYTES, PeerId, Signer, verify
from p2p.noise import TAG_BYTES, NoiseNN, NonceExhausted

MAX_FRAME_BYTES = 32 * 1024
_PROLOGUE = b"meritrec/bridge/1"
_DOMAIN = b"meritrec/bridge/1\0"
_ROLES = (b"r", b"i")


class Channel:
    """One side of a channel.

    Args:
        signer: this device.
        initiator: whether this side opened the link; the other side must say the opposite.

    Attributes:
        peer: who is at the other end, once that is proved; None before.
    """

    def __init__(self, signer: Signer, *, initiator: bool) -> None:
        self._signer = signer
        self._initiator = initiator
        self.peer: PeerId | None = None
        self._noise = NoiseNN(_PROLOGUE, initiator=initiator)

    def begin(self) -> list[bytes]:
        """Return the frames to send first."""
        return [self._noise.write()] if self._initiator else []

    def receive(self, frame: bytes) -> tuple[list[bytes], bytes | None]:
        """Take a frame; return frames to send, and what the peer said, if it said something.

        Raises:
            ChannelBroken: the frame is not what the peer sent last, or the peer is not who it says. Close the link.
        """
        if len(frame) > MAX_FRAME_BYTES:
            raise ChannelBroken(f"a frame of {len(frame)} bytes; at most {MAX_FRAME_BYTES} are taken")
        try:
            if not self._noise.finished:
                return self._shake_hands(frame), None
            said = self._noise.decrypt(frame)
        except (ValueError, NonceExhausted) as error:
            raise ChannelBroken(f"a frame is not what the peer sent ({error})") from error
        if self.peer is None:
            self.peer = self._proved(said)
            return [], None
        return [], said

    def seal(self, data: bytes) -> bytes:
        """Return the frame that carries `data`.

        Raises:
            ChannelBroken: the peer has not proved its key yet, or the channel is used up.
            ValueError: it does not fit a frame.
        """
        if len(data) > MAX_FRAME_BYTES - TAG_BYTES:
            raise ValueError(f"a frame carries at most {MAX_FRAME_BYTES - TAG_BYTES} bytes, not {len(data)}")
        if self.peer is None:
            raise ChannelBroken("the peer has not proved who it is yet")
        return self._sealed(data)

    def _shake_hands(self, frame: bytes) -> list[bytes]:
        self._noise.read(frame)
        answer = [] if self._initiator else [self._noise.write()]
        return [*answer, self._sealed(self._proof())]

    def _proof(self) -> bytes:
        return self._signer.peer_id + self._signer.sign(self._to_sign(self._initiator))

    def _proved(self, said: bytes) -> PeerId:
        peer, signature = PeerId(said[:PEER_ID_BYTES]), said[PEER_ID_BYTES:]
        if len(signature) != SIGNATURE_BYTES or not verify(peer, signature, self._to_sign(not self._initiator)):
            raise ChannelBroken("the peer did not prove its key")
        if peer == self._signer.peer_id:
            raise ChannelBroken("the peer is this device itself")
        return peer

    def _to_sign(self, by_initiator: bool) -> bytes:
        return _DOMAIN + _ROLES[by_initiator] + self._noise.handshake_hash

    def _sealed(self, data: bytes) -> bytes:
        try:
            return self._noise.encrypt(data)
        except NonceExhausted as error:
            raise ChannelBroken("the channel is used up; open another") from error
