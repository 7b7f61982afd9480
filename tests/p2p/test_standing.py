"""Faults fade, add up, and shut a peer out for longer each time; memory is bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2p.errors import Rejected
from p2p.identity import PeerId
from p2p.standing import FAULTS, StandingConfig, Standings

PEER = PeerId(bytes(32))
CONFIG = StandingConfig(limit=100, half_life_s=100, shut_out_s=60, longest_s=300)


def blamed(standings: Standings, reason: Rejected, now: float, times: int) -> bool:
    """Blame several times; return whether any of them shut the peer out."""
    return sum(standings.blame(PEER, reason, now) for _ in range(times)) > 0


def test_faults_halve_with_time() -> None:
    standings = Standings(CONFIG)
    assert not blamed(standings, Rejected.MALFORMED, 0.0, times=4)
    assert standings.faults(PEER, 0.0) == 40
    assert standings.faults(PEER, 100.0) == 20
    assert standings.faults(PEER, -50.0) == 40  # a clock that was set back


def test_each_time_is_twice_as_long_up_to_a_limit() -> None:
    standings, now, lengths = Standings(CONFIG), 0.0, []
    for _ in range(5):
        assert blamed(standings, Rejected.MALFORMED, now, times=10)
        assert standings.shut_out(now) == (PEER,)
        length = next(t for t in range(1, 1000) if not standings.is_shut_out(PEER, now + t))
        lengths.append(length)
        now += length
    assert lengths == [60, 120, 240, 300, 300]


def test_a_clock_that_was_set_back_shuts_nobody_out_for_longer() -> None:
    standings = Standings(CONFIG)
    assert blamed(standings, Rejected.MALFORMED, 1e9, times=10)
    assert not standings.is_shut_out(PEER, 0.0)


def test_what_others_did_is_not_held_against_a_peer() -> None:
    standings = Standings(CONFIG)
    for reason in Rejected:
        if reason not in FAULTS:
            assert not blamed(standings, reason, 0.0, times=10_000)
    assert standings.faults(PEER, 0.0) == 0


@given(st.lists(st.tuples(st.sampled_from(list(Rejected)), st.floats(0, 1e4)), max_size=50))
def test_faults_stay_below_the_limit(steps: list[tuple[Rejected, float]]) -> None:
    standings, now = Standings(CONFIG), 0.0
    for reason, wait in steps:
        now += wait
        standings.blame(PEER, reason, now)
        assert 0 <= standings.faults(PEER, now) < CONFIG.limit


def test_memory_is_bounded() -> None:
    standings = Standings(CONFIG)
    for i in range(5000):
        standings.blame(PeerId(i.to_bytes(32, "big")), Rejected.MALFORMED, 0.0)
    assert standings.faults(PeerId((0).to_bytes(32, "big")), 0.0) == 0
    assert standings.faults(PeerId((4999).to_bytes(32, "big")), 0.0) == 10
