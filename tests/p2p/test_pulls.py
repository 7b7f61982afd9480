"""Whom to ask for what: the most welcome first, one at a time, and liars only waste their own room."""

from __future__ import annotations

from p2p.identity import PeerId
from p2p.messages import MAX_BODIES
from p2p.pulls import Pulls
from p2p.store import Entry

ANN, BEN = PeerId(b"a" * 32), PeerId(b"b" * 32)


def author(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def ask(*numbers: int) -> tuple[tuple[PeerId, int], ...]:
    return tuple((author(number), 1) for number in numbers)


def entry(number: int, version: int = 1) -> Entry:
    return author(number), version, bytes(32)


def pulls(fulfilled: set[PeerId] | None = None, max_claims: int = 1000) -> Pulls:
    done = fulfilled if fulfilled is not None else set()
    return Pulls(lambda claimed: claimed[0] not in done, max_claims, max_tries=3, retry_s=1.0)


def test_the_most_welcome_are_pulled_first_and_in_batches() -> None:
    plan = pulls()
    for number in range(MAX_BODIES + 10):
        assert plan.add(ANN, entry(number), welcome=number, now=0.0, pushed=True)
    first = plan.next_batch(ANN, 0.0)
    assert first == ask(*reversed(range(10, MAX_BODIES + 10)))
    assert plan.next_batch(ANN, 0.0) == ()  # one pull of a peer at a time
    plan.ended(ANN, 0.0)
    assert set(plan.next_batch(ANN, 0.5)) == set(ask(*range(10)))


def test_an_author_is_pulled_from_one_peer_at_a_time() -> None:
    plan = pulls()
    for peer in (ANN, BEN):
        plan.add(peer, entry(1), 1.0, 0.0, pushed=True)
    assert plan.next_batch(ANN, 0.0) == ask(1)
    assert plan.next_batch(BEN, 0.0) == ()
    plan.forget(ANN)
    assert plan.next_batch(BEN, 0.0) == ask(1)


def test_what_others_brought_is_not_pulled_again() -> None:
    done: set[PeerId] = set()
    plan = pulls(done)
    for number in range(3):
        plan.add(ANN, entry(number), 1.0, 0.0, pushed=True)
    done.update({author(0), author(2)})
    assert plan.next_batch(ANN, 0.0) == ask(1)
    done.add(author(1))
    plan.ended(ANN, 0.0)
    assert plan.claimed(ANN, author(1)) is None


def test_an_announced_record_is_tried_again_and_given_up_at_last() -> None:
    plan = pulls()
    plan.add(ANN, entry(1), 1.0, 0.0, pushed=True)
    for now, too_soon in ((0.0, 0.5), (1.0, 2.5), (3.0, 4.5)):  # the wait doubles
        assert plan.next_batch(ANN, now) == ask(1)
        plan.ended(ANN, now)
        assert plan.next_batch(ANN, too_soon) == ()
    assert plan.next_batch(ANN, 10.0) == ()


def test_a_clock_that_runs_backwards_postpones_nothing() -> None:
    plan = pulls()
    plan.add(ANN, entry(1), 1.0, 1e9, pushed=True)
    assert plan.next_batch(ANN, 0.0) == ask(1)
    plan.ended(ANN, 1e9)
    assert plan.next_batch(ANN, 0.0) == ask(1)


def test_a_peer_fills_its_own_room_only_and_newer_claims_replace_older_ones() -> None:
    plan = pulls(max_claims=2)
    assert [plan.add(ANN, entry(number), 1.0, 0.0, pushed=False) for number in range(3)] == [True, True, False]
    assert plan.add(ANN, entry(0, version=5), 1.0, 0.0, pushed=True)
    assert plan.claimed(ANN, author(0)) == (5, True)
    assert plan.add(ANN, entry(0, version=4), 1.0, 0.0, pushed=False)
    assert plan.claimed(ANN, author(0)) == (5, True)
    assert set(plan.next_batch(ANN, 0.0)) == {(author(0), 5), (author(1), 1)}
    assert plan.add(BEN, entry(2), 1.0, 0.0, pushed=False)
