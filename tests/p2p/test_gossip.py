"""One gossip core and the records that peers send: what is taken, what is refused, and what the counters say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2p import messages
from p2p.effects import Broadcast, Effect, Request
from p2p.errors import RecordInvalid, Rejected
from p2p.handover import sign_hand_over
from p2p.identity import Identity
from p2p.messages import AskBodies, AskOwn, Compare, Entries
from p2p.quota import Rate
from p2p.record import EQUIVOCATED, HANDED_OVER, SignedRecord, sign_record, tombstone
from p2p.store import RecordStore
from tests.p2p.gossip_lab import (
    ANN,
    BEN,
    ME,
    OTHER,
    PEER,
    START,
    Lab,
    asked,
    changed,
    compare,
    comparisons,
    entry,
    named,
    questions,
    record,
)

# -- the usual course ------------------------------------------------------------------------------


def test_a_new_peer_is_asked_for_my_version_and_compared_with_once() -> None:
    lab = Lab()
    assert [type(question) for question in questions(lab.meet())] == [AskOwn, Compare]
    assert lab.meet() == []
    assert lab.core.on_peer(ME.peer_id) == []
    assert lab.core.peers == (PEER.peer_id,)
    assert lab.core.on_peer_gone(PEER.peer_id) == []
    assert lab.core.peers == ()


def test_an_announced_record_is_pulled_stored_and_reported(lab: Lab) -> None:
    effects = lab.announce(entry(record(ANN, 1)))
    assert questions(effects) == [AskBodies(((ANN.peer_id, 1),))]
    assert changed(lab.answer(effects, record(ANN, 1))) == {ANN.peer_id}
    assert lab.store.get(ANN.peer_id) == record(ANN, 1)
    assert lab.core.counters.accepted == 1
    assert lab.announce(entry(record(ANN, 1))) == []
    assert changed(lab.bring(sign_record(tombstone(ANN.peer_id, 2, int(START)), ANN))) == {ANN.peer_id}
    assert lab.store.get(ANN.peer_id) is not None


def test_what_is_published_is_announced_at_the_next_tick_and_served(lab: Lab) -> None:
    mine = record(ME, lab.core.next_version())
    assert changed(lab.core.publish(mine)) == {ME.peer_id}
    (broadcast,) = [effect for effect in lab.core.tick() if isinstance(effect, Broadcast)]
    assert messages.decode_announce(broadcast.data).entries == (entry(mine),)
    answer = lab.core.on_request(PEER.peer_id, messages.encode(AskBodies(((ME.peer_id, 1), (BEN.peer_id, 1)))))
    assert messages.decode_bodies(answer).records == (mine.to_bytes(),)
    newer = messages.encode(AskBodies(((ME.peer_id, mine.version + 1),)))
    assert lab.core.on_request(PEER.peer_id, newer) == messages.encode_bodies([])
    assert named(lab.core.on_request(PEER.peer_id, compare())) == (entry(mine),)
    assert named(lab.core.on_request(PEER.peer_id, compare(mine))) == ()
    assert named(lab.core.on_request(PEER.peer_id, compare(mine, record(ANN, 1)))) == ()


def test_a_peer_that_has_more_is_compared_with_in_turn_but_not_for_ever() -> None:
    lab = Lab()
    nothing = messages.encode_comparison(Entries(()))
    (first,) = comparisons(lab.meet())
    lab.core.on_response(PEER.peer_id, first.data, nothing)
    lab.now += 1
    lab.core.on_request(PEER.peer_id, compare(record(ANN, 1)))
    (second,) = comparisons(lab.core.tick())
    lab.core.on_response(PEER.peer_id, second.data, nothing)
    lab.now += 1
    lab.core.on_request(PEER.peer_id, compare(record(ANN, 1), nonce=8))
    assert comparisons(lab.core.tick()) == []


def test_bursts_of_announcements_are_spread_over_ticks(lab: Lab) -> None:
    lab.core.relay([record(Identity.from_seed(i.to_bytes(32, "big")), 1) for i in range(300)])
    sizes = []
    while broadcasts := [effect for effect in lab.core.tick() if isinstance(effect, Broadcast)]:
        sizes.append(sum(len(messages.decode_announce(b.data).entries) for b in broadcasts))
    assert sizes == [128, 128, 44]


def test_what_a_peer_announced_is_checked_and_announced_in_turn(lab: Lab) -> None:
    lab.meet()
    lab.bring(record(ANN, 1))
    assert lab.core.tick() == [], "the only peer holds it"
    lab.meet(OTHER)
    lab.bring(record(BEN, 1))
    assert lab.core.exchange() == [], "others may come to be announced together"
    lab.bring(record(ANN, 2))
    lab.now = lab.core.exchanges_at()
    (broadcast,) = lab.core.exchange()
    assert isinstance(broadcast, Broadcast)
    assert messages.decode_announce(broadcast.data).entries == (entry(record(BEN, 1)), entry(record(ANN, 2)))
    assert lab.core.exchanges_at() == math.inf


def test_what_was_refused_or_found_by_comparison_is_not_announced(lab: Lab) -> None:
    for comparison in (*comparisons(lab.meet()), *comparisons(lab.meet(OTHER))):
        found = lab.core.on_response(
            PEER.peer_id, comparison.data, messages.encode_comparison(Entries((entry(record(BEN, 1)),)))
        )
        if questions(found):
            lab.answer(found, record(BEN, 1))
    forged = bytearray(record(ANN, 1).to_bytes())
    forged[-1] ^= 1
    lab.answer(lab.announce(entry(record(ANN, 1))), bytes(forged))
    assert BEN.peer_id in {author for author, _, _ in lab.store.summary()}
    lab.now += 1
    assert not any(isinstance(effect, Broadcast) for effect in lab.core.tick())


def test_what_came_together_is_held_in_the_order_it_came(lab: Lab) -> None:
    many = [record(Identity.from_seed(i.to_bytes(32, "big")), 1) for i in range(40)]
    lab.core.relay(many)
    # A set's order differs from process to process: the same messages would then end in different bytes.
    answer = lab.core.on_request(PEER.peer_id, compare(n_cells=256))
    assert named(answer) == tuple(entry(each) for each in many)


def test_a_forwarder_that_has_not_pulled_yet_is_asked_again(lab: Lab) -> None:
    assert lab.answer(lab.announce(entry(record(ANN, 1)))) == []
    lab.now += 0.3
    assert changed(lab.answer(lab.core.tick(), record(ANN, 1))) == {ANN.peer_id}


def test_a_pull_that_failed_goes_to_another_peer(lab: Lab) -> None:
    lab.meet(OTHER)
    (pull,) = lab.announce(entry(record(ANN, 1)))
    assert lab.announce(entry(record(ANN, 1)), peer=OTHER) == []  # one pull of an author at a time
    assert isinstance(pull, Request)
    assert lab.core.on_request_failed(PEER.peer_id, pull.data) == []
    assert lab.core.counters.requests_failed == 1
    again = [e for e in lab.core.tick() if isinstance(e, Request) and isinstance(asked(e), AskBodies)]
    assert [effect.peer for effect in again] == [OTHER.peer_id]


# -- records that are refused ----------------------------------------------------------------------


def test_broken_records_are_counted_by_reason_and_dropped(lab: Lab) -> None:
    good = record(ANN, 1)
    forged = SignedRecord(good.record, good.body, BEN.sign(good.body)).to_bytes()
    assert lab.answer(lab.announce(entry(good)), b"garbage", forged, record(BEN, 1)) == []
    for reason in (Rejected.MALFORMED, Rejected.BAD_SIGNATURE, Rejected.UNASKED):
        assert lab.rejected(reason) == 1
    assert len(lab.store) == 0


def test_a_record_from_the_future_is_refused_and_not_pulled_again_for_a_while(lab: Lab) -> None:
    early = record(ANN, 1, at=START + 2 * 3600)
    assert lab.bring(early) == []
    assert lab.rejected(Rejected.FUTURE) == 1
    assert lab.announce(entry(early)) == []
    lab.now += 2 * 3600
    assert changed(lab.bring(early)) == {ANN.peer_id}


def test_ten_minutes_ahead_are_tolerated(lab: Lab) -> None:
    hour = START // 3600 * 3600 + 3600
    lab.now = hour - 600
    assert changed(lab.bring(record(ANN, 1, at=hour))) == {ANN.peer_id}
    lab.now = hour - 601
    assert changed(lab.bring(record(BEN, 1, at=hour))) == frozenset()


def test_replays_and_old_versions_are_not_even_pulled(lab: Lab) -> None:
    lab.bring(record(ANN, 5))
    assert lab.announce(entry(record(ANN, 4)), entry(record(ANN, 5))) == []
    effects = lab.answer(lab.announce(entry(record(ANN, 6))), record(ANN, 3))
    assert changed(effects) == frozenset()
    assert lab.rejected(Rejected.STALE) == 1
    assert lab.store.get(ANN.peer_id) == record(ANN, 5)


def test_an_author_who_updates_too_often_waits(lab: Lab) -> None:
    lab = Lab(updates=Rate(burst=2, per_s=1 / 60))
    lab.meet()
    for version in (1, 2, 3):
        assert changed(lab.bring(record(ANN, version)))
    assert lab.announce(entry(record(ANN, 4))) == []
    assert lab.rejected(Rejected.RATE) == 1
    assert changed(lab.bring(record(BEN, 1)))  # others are not affected
    lab.now += 60
    assert changed(lab.bring(record(ANN, 9)))


def test_a_peer_cannot_use_up_the_updates_of_an_author(lab: Lab) -> None:
    lab = Lab(updates=Rate(burst=2, per_s=0))
    lab.meet()
    lab.bring(record(ANN, 1))
    history = [record(ANN, version) for version in range(1, 9)]
    assert changed(lab.answer(lab.announce(entry(record(ANN, 8))), *history, *history)) == {ANN.peer_id}
    assert lab.store.get(ANN.peer_id) == record(ANN, 8)
    for _ in range(5):
        lab.answer([*lab.announce(entry(record(ANN, 9))), *lab.core.tick()], *[record(ANN, 8)] * 50)
        lab.now += 2
    assert changed(lab.answer(lab.core.tick(), record(ANN, 9))) == {ANN.peer_id}


def test_authors_who_are_not_admitted_are_not_pulled(lab: Lab) -> None:
    lab.welcome = {ANN.peer_id: 0.0, BEN.peer_id: 5.0}
    effects = lab.announce(entry(record(ANN, 1)), entry(record(OTHER, 1)), entry(record(BEN, 1)))
    assert questions(effects) == [AskBodies(((BEN.peer_id, 1), (OTHER.peer_id, 1)))]
    assert lab.rejected(Rejected.UNWANTED) == 1


def test_evicted_authors_are_reported_and_not_pulled_again_at_once() -> None:
    lab = Lab(RecordStore(":memory:", max_authors=2))
    lab.meet()
    lab.core.publish(record(ME, 1))
    lab.bring(record(ANN, 1))
    assert changed(lab.bring(record(BEN, 1))) == {ANN.peer_id, BEN.peer_id}
    assert lab.announce(entry(record(ANN, 1))) == []
    assert lab.store.get(ME.peer_id) is not None
    lab.now += 601
    assert questions(lab.announce(entry(record(ANN, 1)))) == [AskBodies(((ANN.peer_id, 1),))]


# -- equivocation ----------------------------------------------------------------------------------


def test_a_second_record_of_one_version_convicts_and_the_proof_is_spread(lab: Lab) -> None:
    first, second = record(ANN, 3, variant=1), record(ANN, 3, variant=2)
    lab.bring(first)
    assert changed(lab.bring(second)) == {ANN.peer_id}
    assert lab.store.distrusted() == {ANN.peer_id}
    assert lab.rejected(Rejected.EQUIVOCATION) == 1
    (broadcast,) = [effect for effect in lab.core.tick() if isinstance(effect, Broadcast)]
    assert messages.decode_announce(broadcast.data).entries == ((ANN.peer_id, EQUIVOCATED, bytes(32)),)
    proof = lab.core.on_request(PEER.peer_id, messages.encode(AskBodies(((ANN.peer_id, 1),))))
    assert set(messages.decode_bodies(proof).records) == {first.to_bytes(), second.to_bytes()}
    assert lab.announce(entry(record(ANN, 4))) == []


@pytest.mark.parametrize("held", [0, 2, 3, 9])
def test_a_proof_convicts_whatever_is_held(lab: Lab, held: int) -> None:
    if held:
        lab.bring(record(ANN, held, variant=1))
    effects = lab.announce((ANN.peer_id, EQUIVOCATED, bytes(32)))
    lab.answer(effects, record(ANN, 3, variant=1), record(ANN, 3, variant=2))
    assert lab.store.distrusted() == {ANN.peer_id}
    assert lab.store.get(ANN.peer_id) is None


def test_a_claim_of_equivocation_without_proof_convicts_nobody(lab: Lab) -> None:
    lab.bring(record(ANN, 3))
    effects = lab.announce((ANN.peer_id, EQUIVOCATED, bytes(32)))
    lab.answer(effects, record(ANN, 3), record(ANN, 2, variant=1))
    assert lab.store.distrusted() == frozenset()
    assert lab.store.get(ANN.peer_id) == record(ANN, 3)


# -- my own record ---------------------------------------------------------------------------------


def test_publishing_waits_for_one_answer_and_then_goes_above_it(lab: Lab) -> None:
    assert not lab.core.ready_to_publish
    lab.core.on_response(PEER.peer_id, messages.encode(AskOwn()), b"")
    lab.core.on_response(PEER.peer_id, messages.encode(AskOwn()), b"garbage")
    assert not lab.core.ready_to_publish
    restored = messages.encode_bodies([record(ME, 41).to_bytes()])
    assert changed(lab.core.on_response(PEER.peer_id, messages.encode(AskOwn()), restored)) == {ME.peer_id}
    assert lab.core.ready_to_publish
    assert lab.core.next_version() == 42


def test_the_question_for_my_version_is_asked_again(lab: Lab) -> None:
    lab.core.on_request_failed(PEER.peer_id, messages.encode(AskOwn()))
    assert AskOwn() not in questions(lab.core.tick())
    lab.now += 2
    assert AskOwn() in questions(lab.core.tick())
    lab.core.on_response(PEER.peer_id, messages.encode(AskOwn()), messages.encode_bodies([]))
    lab.now += 2
    assert AskOwn() not in questions(lab.core.tick())


def test_without_peers_publishing_need_not_wait() -> None:
    lab = Lab()
    assert lab.core.ready_to_publish
    assert lab.core.next_version() == 1


def test_a_higher_version_of_mine_counts_even_if_it_is_refused(lab: Lab) -> None:
    lab.core.publish(record(ME, 1))
    lab.bring(record(ME, 7, at=START + 9999))
    assert lab.rejected(Rejected.FUTURE) == 1
    assert lab.core.next_version() == 8


def test_a_forged_record_of_mine_changes_nothing(lab: Lab) -> None:
    body = record(ME, 99)
    forged = SignedRecord(body.record, body.body, BEN.sign(body.body)).to_bytes()
    lab.answer(lab.announce((ME.peer_id, 99, body.digest)), forged)
    assert lab.core.next_version() == 1


def test_versions_below_the_next_and_records_of_others_cannot_be_published(lab: Lab) -> None:
    lab.core.publish(record(ME, 3))
    for wrong in (record(ME, 3, variant=1), record(ME, 2), record(ANN, 9)):
        with pytest.raises(ValueError, match="own record"):
            lab.core.publish(wrong)


def test_a_hand_over_is_pulled_like_a_record_and_nothing_after_it_is(lab: Lab) -> None:
    handed = sign_hand_over(ANN, BEN)
    lab.bring(record(ANN, 1))
    effects = lab.announce((ANN.peer_id, HANDED_OVER, handed.digest))
    assert questions(effects) == [AskBodies(((ANN.peer_id, HANDED_OVER),))]
    assert changed(lab.answer(effects, handed.to_bytes())) == {ANN.peer_id}
    assert lab.store.successor(ANN.peer_id) == BEN.peer_id
    assert lab.announce(entry(record(ANN, 2))) == []
    assert lab.core.on_request(PEER.peer_id, messages.encode(AskBodies(((ANN.peer_id, 1),)))) == messages.encode_bodies(
        [handed.to_bytes()]
    )


def test_two_hand_overs_convict_and_the_proof_is_spread(lab: Lab) -> None:
    first, second = sign_hand_over(ANN, BEN), sign_hand_over(ANN, OTHER)
    lab.answer(lab.announce((ANN.peer_id, HANDED_OVER, first.digest)), first.to_bytes())
    effects = lab.announce((ANN.peer_id, HANDED_OVER, second.digest))
    lab.answer(effects, first.to_bytes(), second.to_bytes())
    assert lab.store.distrusted() == {ANN.peer_id}
    (said,) = [messages.decode_announce(e.data) for e in lab.core.tick() if isinstance(e, Broadcast)]
    assert said.entries[-1][:2] == (ANN.peer_id, EQUIVOCATED)


def test_a_device_restored_from_before_its_hand_over_learns_that_its_key_is_spent(lab: Lab) -> None:
    handed = sign_hand_over(ME, BEN)
    lab.core.on_response(PEER.peer_id, messages.encode(AskOwn()), messages.encode_bodies([handed.to_bytes()]))
    assert lab.store.successor(ME.peer_id) == BEN.peer_id
    with pytest.raises(RecordInvalid, match="handed over to"):
        lab.core.publish(record(ME, lab.core.next_version()))


def test_a_convicted_identity_is_told_to_make_a_new_one(lab: Lab) -> None:
    lab.core.publish(record(ME, 1))
    lab.bring(record(ME, 1, variant=1))
    assert lab.store.distrusted() == {ME.peer_id}
    with pytest.raises(RecordInvalid, match="make a new identity"):
        lab.core.publish(record(ME, 5))


def test_my_version_survives_a_restart() -> None:
    store = RecordStore(":memory:")
    Lab(store).core.publish(record(ME, 4))
    assert Lab(store).core.next_version() == 5


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 7), min_size=40, max_size=120))
def test_a_tick_that_is_not_due_does_nothing(turns: list[int]) -> None:
    lab = Lab(pull_gap_s=(0.25, 2.0))
    waiting: list[Request] = []
    dues, sizes = set(), set()

    def note(effects: list[Effect]) -> None:
        waiting.extend(effect for effect in effects if isinstance(effect, Request))

    note(lab.meet())
    for version, turn in enumerate(turns, 1):
        lab.now += (0.1, 0.3, 1.0, 20.0)[turn % 4]
        is_due = lab.core.due_at() <= lab.now
        assert lab.core.due_at() <= lab.core.exchanges_at()
        effects = lab.core.tick()
        assert is_due or all(isinstance(effect, Broadcast) for effect in effects)  # it does not wait for more to say
        dues.add(is_due)
        sizes.add(len(effects))
        note(effects)
        if turn == 1:
            note(lab.announce(entry(record(ANN, version))))
        elif turn == 2:
            note(lab.meet(OTHER))
        elif turn == 3:
            lab.core.publish(record(ME, max(version, lab.core.next_version())))
        elif turn == 4:
            lab.core.on_request(PEER.peer_id, compare(record(BEN, 1)))
        elif turn == 5:
            lab.core.on_peer_gone(OTHER.peer_id)
        elif waiting:
            request = waiting.pop(0)
            if turn == 6:
                note(lab.core.on_request_failed(request.peer, request.data))
            else:
                note(lab.core.on_response(request.peer, request.data, messages.encode_bodies([])))
    assert dues == {True, False} or len(set(turns)) < 4
    assert len(sizes) > 1 or len(set(turns)) < 4
