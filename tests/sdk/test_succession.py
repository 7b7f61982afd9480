"""Hand-overs followed from key to key: the latest one, whatever was said in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2p import PeerId
from sdk.succession import Successions

A, B, C, D = (PeerId(bytes([n]) * 32) for n in range(4))
keys = st.sampled_from([A, B, C, D])


def test_a_chain_is_followed_to_its_end() -> None:
    successions = Successions()
    assert successions.latest(A) == A
    assert successions.set(A, B) == {A}
    assert successions.set(B, C) == {A, B}
    assert successions.chain(A) == (A, B, C)
    assert [successions.latest(key) for key in (A, B, C, D)] == [C, C, C, D]
    assert successions.earlier(C) == {A, B}
    assert successions.set(B, None) == {A, B}
    assert successions.latest(A) == B


def test_several_keys_may_become_one() -> None:
    successions = Successions()
    successions.set(A, C)
    successions.set(B, C)
    assert successions.earlier(C) == {A, B}
    assert successions.set(C, D) == {A, B, C}


@given(st.lists(st.tuples(keys, st.one_of(st.none(), keys)), max_size=20))
def test_any_history_ends_and_agrees_with_a_plain_model(said: list[tuple[PeerId, PeerId | None]]) -> None:
    successions, model = Successions(), dict[PeerId, PeerId]()
    for old, new in said:
        if old != new:
            successions.set(old, new)
            model.pop(old, None)
            if new is not None:
                model[old] = new
    for key in (A, B, C, D):
        walked = [key]
        while model.get(walked[-1]) not in (None, *walked):
            walked.append(model[walked[-1]])
        assert successions.chain(key) == tuple(walked)
        earlier = {other for other in (A, B, C, D) if other != key and key in successions.chain(other)}
        assert successions.earlier(key) == earlier


def test_a_very_long_chain_is_cut() -> None:
    successions = Successions()
    for i in range(1000):
        successions.set(PeerId(i.to_bytes(32, "big")), PeerId((i + 1).to_bytes(32, "big")))
    assert len(successions.chain(PeerId(bytes(32)))) < 40
    assert len(successions.earlier(PeerId((1000).to_bytes(32, "big")))) < 40
