"""A new key for a device: the old one signs a hand-over, so that nobody who trusts the device loses it.

In this order, so that a crash at any point leaves one key that works: the new key is written beside the old one; the
hand-over is stored, and from then on is what peers are told about the old key; the new key takes the old one's place.
Opening the folder finishes or undoes what was interrupted.
"""

from __future__ import annotations

from pathlib import Path

from p2p import Identity, P2PError, PeerId, RecordStore, sign_hand_over
from p2p.key_file import is_sealed

_NEXT = "identity.key.next"
IDENTITY_FILE = "identity.key"
RECORDS_FILE = "records.db"


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
    store = RecordStore(folder / RECORDS_FILE)
    try:
        (refused,) = store.put_many([sign_hand_over(old, new)])
    finally:
        store.close()
    if refused is not None:
        (folder / _NEXT).unlink()
        raise P2PError(f"the key cannot be handed over: {refused.value}; make a new device instead")
    (folder / _NEXT).replace(folder / IDENTITY_FILE)
    return new


def needs_passphrase(folder: Path) -> bool:
    """Return whether a key of a device folder is sealed."""
    return any(is_sealed(folder / name) for name in (IDENTITY_FILE, _NEXT))


def finish(folder: Path, old: PeerId, passphrase: str | None) -> bool:
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
        handed_over = store.successor(old) == new.peer_id
    finally:
        store.close()
    if handed_over:
        waiting.replace(folder / IDENTITY_FILE)
    else:
        waiting.unlink()
    return handed_over
