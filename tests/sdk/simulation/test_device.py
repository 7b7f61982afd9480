"""One simulated device: which announcements it must be told of."""

from __future__ import annotations

from p2p import SignedRecord, messages
from p2p.messages import Announce
from sdk.simulation.device import Device, signed_statement
from sdk.simulation.keys import Keys
from sdk.simulation.scenario import TrustConfig
from sdk.simulation.shard import START
from sdk.simulation.world import Statement


def test_only_what_could_change_something_is_heeded() -> None:
    keys = Keys(0, 2, 4)
    device = Device(0, keys, TrustConfig(), lambda: START, 0, "items")

    def record(version: int, item: int) -> SignedRecord:
        return signed_statement(Statement({}, {item: 1}), keys.identity(1), keys, version, START)

    def announced(version: int, item: int) -> bytes:
        signed = record(version, item)
        return messages.encode(Announce(((signed.author, signed.version, signed.digest),)))

    device.core.relay([record(2, 0)])
    assert not device.heeds(announced(2, 0))
    assert not device.heeds(announced(1, 0))
    assert device.heeds(announced(3, 0))
    assert device.heeds(announced(2, 1)), "two records of one version convict their author"
    assert device.heeds(b"garbage"), "it is held against the sender"
