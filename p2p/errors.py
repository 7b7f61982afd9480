"""The errors of `p2p`, and the reasons for which input from a peer is refused.

::

    P2PError
    ├── IdentityInvalid      the key file is damaged, unreadable or open to others
    │   └── PassphraseWrong  the key file is sealed, and its passphrase is missing or wrong
    ├── CryptoUnavailable    nothing here signs or encrypts: cryptography is missing, and the app installed nothing else
    ├── RecordInvalid        a record breaks the format, its limits or its signature; carries a `Rejected`
    ├── StoreCorrupted       the record store's file is damaged
    ├── StoreUnavailable     the record store cannot be opened or written now (disk full, no permission, closed)
    ├── TransportUnavailable the transport cannot run here (libp2p is not installed, the address is taken)
    ├── ConnectFailed        a peer could not be reached
    ├── ChannelBroken        the other end of a bridge's link is not the peer it should be, or frames were tampered with
    └── RequestFailed        a connected peer did not answer, or answered too late or too much

Input from peers never raises out of the gossip core: it is counted by `Rejected` reason and dropped.
"""

from __future__ import annotations

from enum import Enum


class Rejected(Enum):
    """Why something that a peer sent was dropped."""

    TOO_LARGE = "larger than the limit"
    MALFORMED = "not of the format"
    NOT_CANONICAL = "not in canonical form"
    BAD_SIGNATURE = "the signature does not verify"
    FUTURE = "issued too far in the future"
    STALE = "not newer than the one known"
    EQUIVOCATION = "the author signed two records with one version"
    HANDED_OVER = "the author handed over to another key, and has nothing more to say"
    RATE = "the author updates too often"
    QUOTA = "the peer sends more than its share"
    FULL = "the store is full and the author is not among those that count"
    UNWANTED = "of an author who does not count here"
    UNASKED = "nobody asked for it"
    BROKEN_PROMISE = "the peer does not send what it says it has"
    UNSTORED = "the store cannot be written now"
    SHUT_OUT = "of a peer that is shut out"


class P2PError(Exception):
    """Root of every error `p2p` raises on purpose."""


class IdentityInvalid(P2PError):
    """The key file cannot be used."""


class PassphraseWrong(IdentityInvalid):
    """The key file is sealed, and its passphrase is missing or wrong."""


class CryptoUnavailable(P2PError):
    """Nothing here signs, verifies or encrypts."""


class RecordInvalid(P2PError):
    """A record was refused.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: Rejected, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreCorrupted(P2PError):
    """The record store's file is damaged; it is left as it is."""


class StoreUnavailable(P2PError):
    """The record store cannot be opened or written now; what it holds is whole."""


class TransportUnavailable(P2PError):
    """The transport cannot run here."""


class ConnectFailed(P2PError):
    """A peer could not be reached."""


class ChannelBroken(P2PError):
    """A secured channel cannot go on; its link is to be closed."""


class RequestFailed(P2PError):
    """A request got no usable answer."""
