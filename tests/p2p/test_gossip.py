"""One gossip core against whatever peers send: what is taken, what is refused, and what the counters say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2p import messages
from p2p.buckets import bucket_digests
from p2p.effects import Broadcast, Changed, Effect, Request
from p2p.errors import RecordInvalid, Rejected
from p2p.gossip import Gossip
from p2p.gossip_config import GossipConfig
from p2p.identity import Identity, PeerId
from p2p.messages import Announce, AskBodies, AskEntries, AskOwn
from p2p.quota import Rate
from p2p.record import AdjacencyRecord, ItemEdge, SignedRecord, round_issued_at, sign_record, tombstone
from p2p.store import EQUIVOCATED, Entry, RecordStore

START = 1_700_000_000.0
ME, PEER, OTHER, ANN, BEN = (Identity.from_seed(bytes([i]) * 32) for i in range(5))
EMPTY = bucket_digests([])


def record(author: Identity, version: int, variant: int = 0, at: float = START) -> SignedRecord:
    items = (ItemEdge(bytes([variant]) * 16, 1, 1),) if variant else ()
    return sign_record(AdjacencyRecord(author.peer_id, version, round_issued_at(int(at)), (), items), author)


def entry(signed: SignedRecord) -> Entry:
    return signed.record.author, signed.record.version, signed.digest


class Lab:
    """A core with a clock to turn and a connected peer to speak for."""

    def __init__(self, store: RecordStore | None = None, **config: object) -> None:
        self.now = START
        self.store = RecordStore(":memory:") if store is None else store
        self.welcome: dict[PeerId, float] = {}
        self.core = Gossip(
            ME.peer_id,
            self.store,
            lambda: self.now,
            np.random.default_rng(0),
            replace(GossipConfig(), **config),  # type: ignore[arg-type]
            lambda author: self.welcome.get(author, 1.0),
        )

    def meet(self, peer: Identity = PEER) -> list[Effect]:
        return self.core.on_peer(peer.peer_id)

    def announce(self, *entries: Entry, peer: Identity = PEER) -> list[Effect]:
        return self.core.on_broadcast(peer.peer_id, messages.encode(Announce(entries)))

    def answer(self, effects: Iterable[Effect], *bodies: SignedRecord | bytes, peer: Identity = PEER) -> list[Effect]:
        """Answer the one pull among `effects`."""
        (pull,) = [e for e in effects if isinstance(e, Request) and isinstance(asked(e), AskBodies)]
        wire = [body if isinstance(body, bytes) else body.to_bytes() for body in bodies]
        return self.core.on_response(peer.peer_id, pull.data, messages.encode_bodies(wire))

    def bring(self, *records: SignedRecord, peer: Identity = PEER) -> list[Effect]:
        """Announce records and deliver them."""
        return self.answer(self.announce(*map(entry, records), peer=peer), *records, peer=peer)

    def rejected(self, reason: Rejected) -> int:
        return self.core.counters.rejected[reason]


def asked(effect: Effect) -> messages.Request | None:
    return messages.decode_request(effect.data) if isinstance(effect, Request) else None


def questions(effects: Iterable[Effect]) -> list[messages.Request]:
    return [question for effect in effects if (question := asked(effect)) is not None]


def changed(effects: Iterable[Effect]) -> frozenset[PeerId]:
    return frozenset(author for e in effects if isinstance(e, Changed) for author in e.authors)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab()
    made.meet()
    yield made
    made.store.close()


# -- the usual course ------------------------------------------------------------------------------


def test_a_new_peer_is_asked_for_my_version_and_compared_with_once() -> None:
    lab = Lab()
    assert questions(lab.meet()) == [AskOwn(), AskEntries(EMPTY)]
    assert lab.meet() == []
    assert lab.core.on_peer(ME.peer_id) == []
    assert lab.core.peers == (PEER.peer_id,)
    assert lab.core.on_peer_gone(PEER.peer_id) == []
    assert lab.core.peers == ()


def test_an_announced_record_is_pulled_stored_and_reported(lab: Lab) -> None:
    effects = lab.announce(entry(record(ANN, 1)))
    assert questions(effects) == [AskBodies((ANN.peer_id,))]
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
    answer = lab.core.on_request(PEER.peer_id, messages.encode(AskBodies((ME.peer_id, BEN.peer_id))))
    assert messages.decode_bodies(answer).records == (mine.to_bytes(),)
    listed = lab.core.on_request(PEER.peer_id, messages.encode(AskEntries(EMPTY)))
    assert messages.decode_entries(listed).entries == (entry(mine),)
    same = lab.core.on_request(PEER.peer_id, messages.encode(AskEntries(bucket_digests([entry(mine)]))))
    assert messages.decode_entries(same).entries == ()


def test_a_peer_that_differs_is_compared_with_in_turn_but_not_for_ever(lab: Lab) -> None:
    theirs = messages.encode(AskEntries(bucket_digests([entry(record(ANN, 1))])))
    lab.core.on_response(PEER.peer_id, messages.encode(AskEntries(EMPTY)), messages.encode_entries([]))
    lab.now += 1
    lab.core.on_request(PEER.peer_id, theirs)
    assert AskEntries(EMPTY) in questions(lab.core.tick())
    lab.core.on_response(PEER.peer_id, messages.encode(AskEntries(EMPTY)), messages.encode_entries([]))
    lab.now += 1
    lab.core.on_request(PEER.peer_id, theirs)
    assert AskEntries(EMPTY) not in questions(lab.core.tick())


def test_bursts_of_announcements_are_spread_over_ticks(lab: Lab) -> None:
    lab.core.relay([record(Identity.from_seed(i.to_bytes(32, "big")), 1) for i in range(300)])
    sizes = []
    while broadcasts := [effect for effect in lab.core.tick() if isinstance(effect, Broadcast)]:
        sizes.append(sum(len(messages.decode_announce(b.data).entries) for b in broadcasts))
    assert sizes == [128, 128, 44]


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
        lab.now += 1
    assert changed(lab.answer(lab.core.tick(), record(ANN, 9))) == {ANN.peer_id}


def test_authors_who_are_not_admitted_are_not_pulled(lab: Lab) -> None:
    lab.welcome = {ANN.peer_id: 0.0, BEN.peer_id: 5.0}
    effects = lab.announce(entry(record(ANN, 1)), entry(record(OTHER, 1)), entry(record(BEN, 1)))
    assert questions(effects) == [AskBodies((BEN.peer_id, OTHER.peer_id))]
    assert lab.rejected(Rejected.FULL) == 1


def test_evicted_authors_are_reported_and_not_pulled_again_at_once() -> None:
    lab = Lab(RecordStore(":memory:", max_authors=2))
    lab.meet()
    lab.core.publish(record(ME, 1))
    lab.bring(record(ANN, 1))
    assert changed(lab.bring(record(BEN, 1))) == {ANN.peer_id, BEN.peer_id}
    assert lab.announce(entry(record(ANN, 1))) == []
    assert lab.store.get(ME.peer_id) is not None
    lab.now += 601
    assert questions(lab.announce(entry(record(ANN, 1)))) == [AskBodies((ANN.peer_id,))]


# -- equivocation ----------------------------------------------------------------------------------


def test_a_second_record_of_one_version_convicts_and_the_proof_is_spread(lab: Lab) -> None:
    first, second = record(ANN, 3, variant=1), record(ANN, 3, variant=2)
    lab.bring(first)
    assert changed(lab.bring(second)) == {ANN.peer_id}
    assert lab.store.distrusted() == {ANN.peer_id}
    assert lab.rejected(Rejected.EQUIVOCATION) == 1
    (broadcast,) = [effect for effect in lab.core.tick() if isinstance(effect, Broadcast)]
    assert messages.decode_announce(broadcast.data).entries == ((ANN.peer_id, EQUIVOCATED, bytes(32)),)
    proof = lab.core.on_request(PEER.peer_id, messages.encode(AskBodies((ANN.peer_id,))))
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


# -- quotas and hostile bytes ----------------------------------------------------------------------


def test_a_peer_that_sends_too_much_is_not_listened_to_and_others_are(lab: Lab) -> None:
    lab = Lab(messages=Rate(burst=10, per_s=1))
    lab.meet()
    lab.meet(OTHER)
    ask = messages.encode(AskEntries(EMPTY))
    answers = [lab.core.on_request(PEER.peer_id, ask) for _ in range(15)]
    assert [bool(answer) for answer in answers] == [True] * 10 + [False] * 5
    assert lab.rejected(Rejected.QUOTA) == 5
    assert lab.announce(entry(record(ANN, 1))) == []
    assert questions(lab.announce(entry(record(ANN, 1)), peer=OTHER)) == [AskBodies((ANN.peer_id,))]


def test_a_peer_that_asks_for_too_many_bytes_is_declined(lab: Lab) -> None:
    lab = Lab(served=Rate(burst=500, per_s=1))
    lab.meet()
    lab.core.publish(record(ME, 1))
    ask = messages.encode(AskBodies((ME.peer_id,)))
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
    effects = lab.core.on_response(PEER.peer_id, messages.encode(AskEntries(EMPTY)), messages.encode_entries(lies))
    assert lab.rejected(Rejected.FULL) == 50
    lab.answer(effects)  # empty
    assert questions(lab.announce(entry(record(ANN, 1)), peer=OTHER)) == [AskBodies((ANN.peer_id,))]


def test_an_announcement_by_someone_who_is_not_connected_is_ignored(lab: Lab) -> None:
    assert lab.announce(entry(record(ANN, 1)), peer=OTHER) == []


def test_an_answer_of_a_peer_that_is_gone_is_ignored(lab: Lab) -> None:
    effects = lab.announce(entry(record(ANN, 1)))
    lab.core.on_peer_gone(PEER.peer_id)
    assert lab.answer(effects, record(ANN, 1)) == []
    assert len(lab.store) == 0


hostile = st.binary(max_size=100) | st.sampled_from(
    [
        messages.encode(AskOwn()),
        messages.encode(AskEntries(EMPTY)),
        messages.encode(AskBodies((ANN.peer_id,))),
        messages.encode(Announce(((ANN.peer_id, 7, bytes(32)), (ME.peer_id, 7, bytes(32))))),
        messages.encode_entries([(BEN.peer_id, EQUIVOCATED, bytes(32))]),
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
