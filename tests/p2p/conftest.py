"""Fixtures of the tests of `p2p`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.p2p.gossip_lab import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.meet()
    yield made
    made.store.close()
