"""One gossip core and its peers: quotas, standing, whose records are wanted, and arbitrary bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2p import messages
from p2p.effects import Disconnect, Effect, Request
from p2p.errors import Rejected, StoreUnavailable
from p2p.holdings import interest_of
from p2p.identity import Identity, PeerId
from p2p.messages import Announce, AskBodies, AskOwn, Compare, Entries, MoreCells, TellInterest, UnknownInterest
from p2p.quota import Rate
from p2p.reconcile import CELL_BYTES, FIRST_CELLS
from p2p.record import EQUIVOCATED
from tests.p2p.gossip_lab import (
    ANN,
    BEN,
    ME,
    OTHER,
    PEER,
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

# -- quotas and hostile bytes ----------------------------------------------------------------------


def test_a_peer_that_sends_too_much_is_not_listened_to_and_others_are(lab: Lab) -> None:
    lab = Lab(messages=Rate(burst=10, per_s=1))
    lab.meet()
    lab.meet(OTHER)
    ask = compare()
    answers = [lab.core.on_request(PEER.peer_id, ask) for _ in range(15)]
    assert [bool(answer) for answer in answers] == [True] * 8 + [False] * 7  # a table counts a little more
    assert lab.rejected(Rejected.QUOTA) == 7
    assert lab.announce(entry(record(ANN, 1))) == []
    assert questions(lab.announce(entry(record(ANN, 1)), peer=OTHER)) == [AskBodies(((ANN.peer_id, 1),))]


def test_large_tables_count_as_many_messages() -> None:
    lab = Lab(messages=Rate(burst=40, per_s=1))
    lab.meet()
    large = compare(n_cells=1024)
    answers = [lab.core.on_request(PEER.peer_id, large) for _ in range(4)]
    assert [bool(answer) for answer in answers] == [True, True, False, False]
    assert lab.rejected(Rejected.QUOTA) == 2


def test_a_peer_that_asks_for_too_many_bytes_is_declined(lab: Lab) -> None:
    lab = Lab(served=Rate(burst=500, per_s=1))
    lab.meet()
    lab.core.publish(record(ME, 1))
    ask = messages.encode(AskBodies(((ME.peer_id, 1),)))
    answers = [lab.core.on_request(PEER.peer_id, ask) for _ in range(9)]
    assert answers[0]
    assert sum(map(len, answers)) <= 500
    assert answers[-1] == b""


def test_false_claims_of_one_peer_do_not_hide_what_another_says(lab: Lab) -> None:
    lab = Lab(max_claims=100)
    lab.meet()
    lab.meet(OTHER)
    lies = [(PeerId(i.to_bytes(32, "big")), 1, bytes(32)) for i in range(150)]
    lies[0] = (ANN.peer_id, EQUIVOCATED, bytes(32))
    effects = lab.core.on_response(PEER.peer_id, compare(), messages.encode_comparison(Entries(tuple(lies))))
    assert lab.rejected(Rejected.FULL) == 50
    lab.answer(effects)  # empty
    assert questions(lab.announce(entry(record(ANN, 1)), peer=OTHER)) == [AskBodies(((ANN.peer_id, 1),))]


def test_an_announcement_by_someone_who_is_not_connected_is_ignored(lab: Lab) -> None:
    assert lab.announce(entry(record(ANN, 1)), peer=OTHER) == []


def test_an_answer_of_a_peer_that_is_gone_is_ignored(lab: Lab) -> None:
    effects = lab.announce(entry(record(ANN, 1)))
    lab.core.on_peer_gone(PEER.peer_id)
    assert lab.answer(effects, record(ANN, 1)) == []
    assert len(lab.store) == 0


# -- standing --------------------------------------------------------------------------------------


def test_a_peer_that_keeps_sending_garbage_is_shut_out_and_may_come_back_later(lab: Lab) -> None:
    for _ in range(10):
        lab.core.on_broadcast(PEER.peer_id, b"garbage")
    assert Disconnect(PEER.peer_id) in lab.core.tick()
    assert lab.core.shut_out == (PEER.peer_id,)
    assert lab.announce(entry(record(ANN, 1))) == []
    assert lab.core.on_request(PEER.peer_id, compare()) == b""
    lab.core.on_peer_gone(PEER.peer_id)
    assert lab.meet() == [Disconnect(PEER.peer_id)]
    assert lab.rejected(Rejected.SHUT_OUT) == 3
    lab.now += 60
    assert questions(lab.meet())
    assert questions(lab.announce(entry(record(ANN, 1)))) == [AskBodies(((ANN.peer_id, 1),))]


def test_faults_fade(lab: Lab) -> None:
    for _ in range(100):
        lab.core.on_broadcast(PEER.peer_id, b"garbage")
        lab.now += 3600
    assert lab.core.shut_out == ()


def test_a_peer_that_never_sends_what_it_has_is_shut_out(lab: Lab) -> None:
    for i in range(400):
        claims = tuple((PeerId(i.to_bytes(4, "big") + bytes([j]) * 28), 1, bytes(32)) for j in range(64))
        effects = lab.core.on_response(PEER.peer_id, compare(), messages.encode_comparison(Entries(claims)))
        while [e for e in effects if isinstance(asked(e), AskBodies)]:
            lab.now += 1
            effects = [*lab.answer([e for e in effects if isinstance(asked(e), AskBodies)]), *lab.core.tick()]
        if lab.core.shut_out:
            break
    assert lab.core.shut_out == (PEER.peer_id,)
    assert lab.rejected(Rejected.BROKEN_PROMISE) >= 100


def test_whoever_passes_on_what_does_not_exist_is_not_blamed_but_its_author_is() -> None:
    lab = Lab(max_tries=1)
    lab.meet(PEER)
    lab.meet(ANN)
    for number in range(120):
        lab.answer(lab.announce((PeerId(number.to_bytes(32, "big")), 1, bytes(32))))
    assert lab.rejected(Rejected.BROKEN_PROMISE) == 120
    assert lab.core.shut_out == ()
    for number in range(100):
        lab.answer(lab.announce((ANN.peer_id, number + 1, bytes(32)), peer=ANN), peer=ANN)
    assert lab.core.shut_out == (ANN.peer_id,)


def test_whoever_passes_on_an_equivocation_is_not_blamed(lab: Lab) -> None:
    for author in (Identity.from_seed(bytes([i]) * 32) for i in range(100, 130)):
        lab.bring(record(author, 1))
        lab.bring(record(author, 1, variant=1))
    assert lab.core.shut_out == ()


def test_a_full_disk_is_counted_and_nobody_is_blamed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(lab.store, "put_many", full)
        assert changed(lab.bring(record(ANN, 1))) == frozenset()
    assert lab.rejected(Rejected.UNSTORED) == 1
    lab.now += 1
    assert changed(lab.answer(lab.core.tick(), record(ANN, 1))) == {ANN.peer_id}
    assert lab.core.shut_out == ()


# -- whose records are wanted ----------------------------------------------------------------------


def test_an_interest_is_told_once_and_compared_by(lab: Lab) -> None:
    asker = Lab(frontier={ANN.peer_id})
    told, compared = TellInterest(interest_of([ANN.peer_id])), None
    assert [type(q) for q in questions(asker.meet())] == [AskOwn, TellInterest]
    everyone = messages.encode_interest(None)
    assert lab.core.on_request(PEER.peer_id, messages.encode(told)) == everyone
    (compared,) = comparisons(asker.core.on_response(PEER.peer_id, messages.encode(told), everyone))
    lab.bring(record(ANN, 1), record(BEN, 1))
    assert named(lab.core.on_request(PEER.peer_id, compared.data)) == (entry(record(ANN, 1)),)
    asker.core.on_response(PEER.peer_id, compared.data, messages.encode_comparison(Entries(())))
    asker.now += 5
    assert len(comparisons(asker.core.tick())) == 1


def test_a_peer_that_forgot_an_interest_is_told_again() -> None:
    lab, stranger = Lab(frontier={ANN.peer_id}), Lab()
    lab.meet()
    told = messages.encode(TellInterest(interest_of([ANN.peer_id])))
    (compared,) = comparisons(lab.core.on_response(PEER.peer_id, told, messages.encode_interest(None)))
    lab.core.on_response(PEER.peer_id, compared.data, messages.encode_comparison(Entries(())))
    stranger.meet()
    for again in (True, False):  # once in a comparison: a peer that never knows is not told for ever
        lab.now += 10
        (compared,) = comparisons(lab.core.tick()) if again else [compared]
        answer = stranger.core.on_request(PEER.peer_id, compared.data)
        assert messages.decode_comparison(answer) == UnknownInterest()
        expected = [messages.decode_request(told)] if again else []
        assert questions(lab.core.on_response(PEER.peer_id, compared.data, answer)) == expected


def test_two_devices_compare_only_what_both_want() -> None:
    many = [record(Identity.from_seed(i.to_bytes(32, "big")), 1) for i in range(300)]
    keys = [signed.author for signed in many]
    one, other = Lab(frontier=set(keys[:200])), Lab(frontier=set(keys[100:]))
    one.core.relay(many[:200])
    other.core.relay([record(Identity.from_seed((150).to_bytes(32, "big")), 2), *many[100:]])
    other.meet()
    (told,) = [q for q in questions(one.meet()) if isinstance(q, TellInterest)]
    theirs = other.core.on_request(PEER.peer_id, messages.encode(told))
    assert messages.decode_interest(theirs) == interest_of(keys[100:])
    (compared,) = comparisons(one.core.on_response(PEER.peer_id, messages.encode(told), theirs))
    answer = other.core.on_request(PEER.peer_id, compared.data)
    assert [(author, version) for author, version, _ in named(answer)] == [(keys[150], 2)]  # by the first small table


def test_a_malformed_interest_is_refused_on_both_ways(lab: Lab) -> None:
    for told in (b"odd", b"\xff" * 8, b"\2\0\0\0\1\0\0\0"):
        assert lab.core.on_request(PEER.peer_id, messages.encode(TellInterest(told))) == b""
        request = messages.encode(TellInterest(None))
        assert lab.core.on_response(PEER.peer_id, request, messages.encode_interest(told)) == []
    assert lab.rejected(Rejected.MALFORMED) == 6


def test_a_frontier_that_grew_is_told_at_the_next_tick() -> None:
    wanted = {ANN.peer_id}
    lab = Lab(frontier=wanted)
    lab.meet()
    told = messages.encode(TellInterest(interest_of(wanted)))
    (compared,) = comparisons(lab.core.on_response(PEER.peer_id, told, messages.encode_interest(None)))
    lab.core.on_response(PEER.peer_id, compared.data, messages.encode_comparison(Entries(())))
    wanted.add(BEN.peer_id)
    lab.now += 1
    assert TellInterest(interest_of(wanted)) in questions(lab.core.tick())


def test_a_peer_that_does_not_answer_is_asked_ever_more_rarely() -> None:
    lab = Lab(anti_entropy_s=1e6, anti_entropy_max_s=1e6)
    (question,) = comparisons(lab.meet())
    times = [lab.now]
    lab.core.on_request_failed(PEER.peer_id, question.data)
    while len(times) < 8:
        lab.now += 0.25
        for question in comparisons(lab.core.tick()):
            times.append(lab.now)
            lab.core.on_request_failed(PEER.peer_id, question.data)
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    lab.now -= 1e6  # a clock that ran backwards postpones nothing
    (question,) = comparisons(lab.core.tick())
    lab.core.on_response(PEER.peer_id, question.data, messages.encode_comparison(Entries(())))
    lab.core.relay([record(ANN, 1)])
    lab.now += 1
    assert len(comparisons(lab.core.tick())) == 1


def test_a_small_table_grows_until_the_difference_fits() -> None:
    asker, answerer = Lab(), Lab()
    many = [record(Identity.from_seed(i.to_bytes(32, "big")), 1) for i in range(1000)]
    answerer.core.relay(many)
    asker.core.relay(many[60:])
    (question,) = comparisons(asker.meet())
    answerer.meet()
    sizes = []
    while True:
        sizes.append(len(question.data))
        answer = answerer.core.on_request(PEER.peer_id, question.data)
        if isinstance(messages.decode_comparison(answer), Entries):
            break
        (question,) = comparisons(asker.core.on_response(PEER.peer_id, question.data, answer))
    assert sorted(named(answer)) == sorted(map(entry, many[:60]))
    assert len(sizes) > 1
    assert sum(sizes) < 60 * 16 * 8


def test_after_a_comparison_that_found_nothing_one_cell_is_sent_until_something_is_found() -> None:
    lab = Lab(anti_entropy_s=10.0, anti_entropy_max_s=10.0)
    lab.core.relay([record(ANN, 1)])
    (question,) = comparisons(lab.meet())
    sizes = []
    for found in (False, True, False):
        answer = Entries((entry(record(BEN, 1)),) if found else ())
        lab.core.on_response(PEER.peer_id, question.data, messages.encode_comparison(answer))
        lab.now += 10.0
        (question,) = comparisons(lab.core.tick())
        asked_now = messages.decode_request(question.data)
        assert isinstance(asked_now, Compare)
        sizes.append(len(asked_now.cells) // CELL_BYTES)
    assert sizes == [1, FIRST_CELLS, 1]


hostile = st.binary(max_size=100) | st.sampled_from(
    [
        messages.encode(AskOwn()),
        compare(),
        messages.encode(TellInterest(bytes(4))),
        messages.encode_comparison(MoreCells(64)),
        messages.encode_comparison(UnknownInterest()),
        messages.encode(AskBodies(((ANN.peer_id, 1),))),
        messages.encode(Announce(((ANN.peer_id, 7, bytes(32)), (ME.peer_id, 7, bytes(32))))),
        messages.encode_comparison(Entries(((BEN.peer_id, EQUIVOCATED, bytes(32)),))),
        messages.encode_bodies([b"", record(ANN, 2).to_bytes(), record(ANN, 2, variant=1).to_bytes()]),
    ]
)
events = st.tuples(st.sampled_from(["broadcast", "request", "response", "failed", "tick", "gone", "meet"]), hostile)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(events, max_size=25), st.lists(st.floats(-100, 1000), min_size=25, max_size=25))
def test_nothing_that_peers_send_raises(steps: list[tuple[str, bytes]], clock: list[float]) -> None:
    """Requests that are answered are those the core made; everything else is arbitrary, the clock included."""
    lab = Lab()
    pending = [effect for effect in lab.meet() if isinstance(effect, Request)]
    for (kind, data), passed in zip(steps, clock, strict=False):
        lab.now += passed
        effects: list[Effect] = []
        if kind == "broadcast":
            effects = lab.core.on_broadcast(PEER.peer_id, data)
        elif kind == "request":
            lab.core.on_request(PEER.peer_id, data)
        elif kind == "response" and pending:
            effects = lab.core.on_response(PEER.peer_id, pending.pop().data, data)
        elif kind == "failed" and pending:
            effects = lab.core.on_request_failed(PEER.peer_id, pending.pop().data)
        elif kind == "tick":
            effects = lab.core.tick()
        elif kind == "gone":
            effects = lab.core.on_peer_gone(PEER.peer_id)
        elif kind == "meet":
            effects = lab.meet()
        pending.extend(effect for effect in effects if isinstance(effect, Request))
    lab.store.close()
