r"""The hand-over: a device replaces its key, and whoever trusted the old one trusts the new one from then on.

Wire format 1, canonical msgpack:

    body      = [1, old, new]
    hand-over = [body, old's signature, new's signature]      Ed25519 over b"meritrec/handover/1\0" + body

It is the old key's last word: it stands above all its records, under the version `HANDED_OVER`. Both keys sign, so that
nobody hands a bad name over to somebody else. There is no time in it, so making it again gives the same bytes. Two
different ones prove that the key was used by two, and convict it like any equivocation: a thief of the old key gains
nothing that lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from p2p.errors import RecordInvalid, Rejected
from p2p.identity import PEER_ID_BYTES, SIGNATURE_BYTES, PeerId, Signer, verify
from p2p.record import HANDED_OVER, check_size, digest_of
from p2p.wire import is_key, need, pack, unpack

FORMAT = 1
_DOMAIN = b"meritrec/handover/1\0"
_LIMITS = {"max_array_len": 3, "max_str_len": 0, "max_map_len": 0, "max_ext_len": 0}


@dataclass(frozen=True)
class SignedHandOver:
    """A hand-over with both signatures valid; made by `sign_hand_over` and `open_hand_over` only.

    Attributes:
        author: the old key.
        successor: the new key.
        signatures: the old key's and the new key's.
    """

    author: PeerId
    successor: PeerId
    signatures: tuple[bytes, bytes]

    @property
    def version(self) -> int:
        """Above every record's."""
        return HANDED_OVER

    def to_bytes(self) -> bytes:
        """Return the wire form."""
        return pack([_body(self.author, self.successor), *self.signatures])

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that name exactly this hand-over."""
        return digest_of(self.to_bytes())


def sign_hand_over(old: Signer, new: Signer) -> SignedHandOver:
    """Hand over from one key to another.

    Raises:
        ValueError: both are the same key.
    """
    if old.peer_id == new.peer_id:
        raise ValueError("a key cannot be handed over to itself")
    signed = _DOMAIN + _body(old.peer_id, new.peer_id)
    return SignedHandOver(old.peer_id, new.peer_id, (old.sign(signed), new.sign(signed)))


def open_hand_over(data: bytes) -> SignedHandOver:
    """Read and verify the wire form; the bytes may come from anyone.

    Raises:
        RecordInvalid: with the reason.
    """
    check_size(data)
    try:
        body, *signatures = unpack(data, _LIMITS)
        need(isinstance(body, bytes) and len(signatures) == 2, "a body and two signatures expected")
        need(all(is_key(signature, SIGNATURE_BYTES) for signature in signatures), "a signature has 64 bytes")
        number, old, new = unpack(body, _LIMITS)
    except (ValueError, TypeError) as error:
        raise RecordInvalid(Rejected.MALFORMED, f"not a hand-over ({error})") from error
    need(number == FORMAT, f"no hand-over of format {FORMAT}")
    need(is_key(old, PEER_ID_BYTES) and is_key(new, PEER_ID_BYTES) and old != new, "two different keys expected")
    handed = SignedHandOver(PeerId(old), PeerId(new), (signatures[0], signatures[1]))
    if handed.to_bytes() != data:
        raise RecordInvalid(Rejected.NOT_CANONICAL, "the hand-over is not in canonical form")
    if not all(verify(key, sign, _DOMAIN + body) for key, sign in zip((old, new), handed.signatures, strict=True)):
        raise RecordInvalid(Rejected.BAD_SIGNATURE, "the hand-over is not signed by both keys")
    return handed


def _body(old: PeerId, new: PeerId) -> bytes:
    return pack([FORMAT, old, new])
