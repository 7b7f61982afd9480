"""Plain counts of what the network brought and what was refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from p2p.errors import Rejected


@dataclass(slots=True)
class Counters:
    """What happened since the node started.

    Attributes:
        accepted: records accepted.
        rejected: how often each reason for a refusal occurred.
        messages_in, messages_out, bytes_in, bytes_out: announcements, requests and answers.
        requests_failed: requests without a usable answer.
    """

    accepted: int = 0
    rejected: Counter[Rejected] = field(default_factory=Counter)
    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    requests_failed: int = 0

    def received(self, data: bytes) -> None:
        """Count a message that came in."""
        self.messages_in += 1
        self.bytes_in += len(data)

    def sent(self, data: bytes) -> None:
        """Count a message that goes out."""
        self.messages_out += 1
        self.bytes_out += len(data)
