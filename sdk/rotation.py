"""A new key for a device: the old one signs a hand-over, so that nobody who trusts the device loses it.

In this order, so that a crash at any point leaves one key that works: the new key is written beside the old one; the
hand-over is stored, and from then on is what peers are told about the old key; each community is given one of its own,
from the key that the device had there to the one it has from now on; the new key takes the old one's place. Opening the
folder finishes or undoes what was interrupted.
"""

from __future__ import annotations

import logging
from pathlib import Path

from p2p import Identity, P2PError, RecordStore, Rejected, sign_hand_over
from p2p.key_file import is_sealed
from sdk.community import RECORDS_FILE, communities, community_folder

_NEXT = "identity.key.next"
IDENTITY_FILE = "identity.key"

logger = logging.getLogger("meritrec.sdk")


def rotate(folder: Path, old: Identity, passphrase: str | None) -> Identity:
    """Replace the key of a device folder that the caller holds the lock of.

    Args:
        folder: the device's.
        old: its identity.
        passphrase: seals the new key; None leaves it unsealed.

    Raises:
        p2p.P2PError: nothing was changed, or opening the folder again finishes it.
    """
    new = Identity.create()
    new.save(folder / _NEXT, passphrase)
    refused = _hand_over(folder, old, new, "")
    if refused is not None:
        (folder / _NEXT).unlink()
        raise P2PError(f"the key cannot be handed over: {refused.value}; make a new device instead")
    _hand_over_communities(folder, old, new)
    (folder / _NEXT).replace(folder / IDENTITY_FILE)
    return new


def _hand_over(folder: Path, old: Identity, new: Identity, community: str) -> Rejected | None:
    """Store the hand-over between the keys of one community; return why it was not taken."""
    store = RecordStore(community_folder(folder, community) / RECORDS_FILE)
    try:
        return store.put_many([sign_hand_over(old.pseudonym(community), new.pseudonym(community))])[0]
    finally:
        store.close()


def _hand_over_communities(folder: Path, old: Identity, new: Identity) -> None:
    for community in communities(folder):
        refused = _hand_over(folder, old, new, community)
        if refused not in (None, Rejected.STALE):  # stale: stored before an interruption
            logger.warning("in one community the key cannot be handed over: %s", refused.value)


def needs_passphrase(folder: Path) -> bool:
    """Return whether a key of a device folder is sealed."""
    return any(is_sealed(folder / name) for name in (IDENTITY_FILE, _NEXT))


def finish(folder: Path, old: Identity, passphrase: str | None) -> bool:
    """Finish or undo a rotation that was interrupted; return whether the key is another one now.

    Raises:
        p2p.P2PError: the new key or the record store cannot be opened; nothing was changed.
    """
    waiting = folder / _NEXT
    if not waiting.exists():
        return False
    new = Identity.load(waiting, passphrase)
    store = RecordStore(folder / RECORDS_FILE)
    try:
        handed_over = store.successor(old.peer_id) == new.peer_id
    finally:
        store.close()
    if handed_over:
        _hand_over_communities(folder, old, new)
        waiting.replace(folder / IDENTITY_FILE)
    else:
        waiting.unlink()
    return handed_over
