"""Whom to ask for what: the most welcome first, one at a time, and liars only waste their own room."""

from __future__ import annotations

from itertools import pairwise

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


def pulls(
    fulfilled: set[PeerId] | None = None, max_claims: int = 1000, gap_s: tuple[float, float] = (0.0, 0.0)
) -> Pulls:
    done = fulfilled if fulfilled is not None else set()
    return Pulls(lambda claimed: claimed[0] not in done, max_claims, max_tries=3, retry_s=1.0, gap_s=gap_s)


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
    assert plan.claimed(ANN, [author(1)]) == {author(1): (0, False)}


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
    assert plan.claimed(ANN, [author(0)]) == {author(0): (5, True)}
    assert plan.add(ANN, entry(0, version=4), 1.0, 0.0, pushed=False)
    assert plan.claimed(ANN, [author(0)]) == {author(0): (5, True)}
    assert set(plan.next_batch(ANN, 0.0)) == {(author(0), 5), (author(1), 1)}
    assert plan.add(BEN, entry(2), 1.0, 0.0, pushed=False)


def test_what_is_announced_soon_after_a_pull_is_asked_for_together() -> None:
    done: set[PeerId] = set()
    plan = pulls(done, gap_s=(5.0, 5.0))
    plan.add(ANN, entry(0), 1.0, 100.0, pushed=True)
    assert plan.due_at() == 100.0
    assert plan.next_batch(ANN, 100.0) == ask(0)  # the first news do not wait
    for number in range(1, 4):
        plan.add(ANN, entry(number), 1.0, 100.0 + number / 10, pushed=True)
    assert plan.due_at() == float("inf")  # until the answer is there
    done.add(author(0))
    plan.ended(ANN, 101.0)
    assert plan.next_batch(ANN, 101.0) == ()
    assert plan.due_at() == 105.0
    assert plan.due(104.9) == []
    assert plan.due(105.0) == [ANN]
    assert set(plan.next_batch(ANN, 105.0)) == set(ask(1, 2, 3))


def test_what_fills_a_request_does_not_wait_and_nor_does_another_peer() -> None:
    plan = pulls(gap_s=(5.0, 5.0))
    plan.add(ANN, entry(0), 1.0, 0.0, pushed=True)
    plan.next_batch(ANN, 0.0)
    plan.ended(ANN, 0.5)
    plan.add(BEN, entry(1), 1.0, 0.5, pushed=True)
    assert plan.next_batch(BEN, 0.5) == ask(1)
    for number in range(100, 100 + MAX_BODIES + 3):
        plan.add(ANN, entry(number), 2.0, 0.6, pushed=True)
    assert plan.due(0.6) == [ANN]
    assert len(plan.next_batch(ANN, 0.6)) == MAX_BODIES
    plan.ended(ANN, 0.7)
    assert plan.due_at() == 0.6  # after a full one there is more to come: what is left follows at once


def test_a_claim_held_up_by_another_peer_is_due_as_soon_as_that_peer_has_answered() -> None:
    plan = pulls(gap_s=(0.5, 0.5))
    for peer in (ANN, BEN):
        plan.add(peer, entry(1), 1.0, 0.0, pushed=True)
    assert plan.next_batch(ANN, 0.0) == ask(1)
    assert plan.next_batch(BEN, 0.0) == ()
    assert plan.due_at() == float("inf")
    plan.ended(ANN, 0.2)
    assert BEN in plan.due(0.2)
    assert plan.next_batch(BEN, 0.2) == ask(1)


def test_who_is_gone_is_not_waited_for() -> None:
    plan = pulls(gap_s=(5.0, 5.0))
    plan.add(ANN, entry(1), 1.0, 0.0, pushed=True)
    plan.next_batch(ANN, 0.0)
    plan.forget(ANN)
    assert plan.due_at() == float("inf")
    plan.add(ANN, entry(1), 1.0, 1.0, pushed=True)
    assert plan.next_batch(ANN, 1.0) == ask(1)


def test_a_clock_that_runs_backwards_does_not_stretch_the_gap() -> None:
    plan = pulls(gap_s=(5.0, 5.0))
    plan.add(ANN, entry(1), 1.0, 1e9, pushed=True)
    plan.next_batch(ANN, 1e9)
    plan.ended(ANN, 1e9)
    plan.add(ANN, entry(2), 1.0, 7.0, pushed=True)
    assert author(2) in dict(plan.next_batch(ANN, 7.0))


def test_gaps_grow_in_a_storm_and_shrink_when_it_is_over() -> None:
    plan, now, begun = pulls(gap_s=(0.5, 2.0)), 0.0, []
    for number in range(300):  # thirty seconds of news, ten a second, each of which is there when asked for
        now = number / 10
        plan.add(ANN, entry(number), 1.0, now, pushed=False)
        if plan.next_batch(ANN, now):
            begun.append(now)
            plan.ended(ANN, now)
    assert begun[:4] == [0.0, 0.5, 1.5, 3.5]
    assert {round(later - earlier, 6) for earlier, later in pairwise(begun[3:])} == {2.0}
    plan.add(ANN, entry(1000), 1.0, 100.0, pushed=False)
    assert plan.next_batch(ANN, 100.0)
    plan.ended(ANN, 100.1)
    plan.add(ANN, entry(1001), 1.0, 100.2, pushed=False)
    assert plan.next_batch(ANN, 100.4) == ()
    assert plan.next_batch(ANN, 100.5)


def test_what_is_given_up_is_told_in_the_order_it_was_asked_for() -> None:
    plan = Pulls(lambda _: True, max_claims=1000, max_tries=1, retry_s=1.0, gap_s=(0.0, 0.0))
    for number in range(40):
        plan.add(ANN, entry(number * 7919), welcome=-number, now=0.0, pushed=True)
    asked = [name for name, _ in plan.next_batch(ANN, 0.0)]
    assert [name for name, _ in plan.ended(ANN, 0.0)] == asked  # a set's order would differ from process to process
