"""Where the golden bundle lies, who signed it, and the histories it is asked about; imports no PyTorch.

The publisher's key is no secret: its seed is 32 bytes of 7, and that of the key before it 32 bytes of 6.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from device_runtime import Action, HistoryEvent, PublisherKey

FOLDER = Path(__file__).with_name("bundle")
DELTA = Path(__file__).with_name("delta")
ANSWERS = Path(__file__).with_name("answers.json")
PINNED, PUBLISHER = (PublisherKey(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (6, 7))
NOW, FOREVER = 1_750_000_000, (1 << 40) - 1
ITEMS, SIZE, LEVELS = 50, 8, 3


def history(length: int) -> list[HistoryEvent]:
    """Events over all items and actions, some seconds to some months apart."""
    return [HistoryEvent(f"item-{7 * n % ITEMS}", Action(1 + n % 6), NOW - (length - n) ** 4) for n in range(length)]
