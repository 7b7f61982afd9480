"""Bucket digests: equal exactly for equal sets of entries, and a difference stays within its bucket."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from p2p.buckets import bucket_digests, bucket_of, differing
from p2p.identity import PeerId
from p2p.store import Entry

authors = st.binary(min_size=32, max_size=32).map(PeerId)
held = st.dictionaries(authors, st.tuples(st.integers(1, 3), st.binary(min_size=32, max_size=32)), max_size=30)


def entries_of(store: dict[PeerId, tuple[int, bytes]]) -> list[Entry]:
    return [(author, *of) for author, of in store.items()]


@given(held, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(store: dict[PeerId, tuple[int, bytes]], random: Random) -> None:
    shuffled = entries_of(store)
    random.shuffle(shuffled)
    assert bucket_digests(shuffled) == bucket_digests(entries_of(store))


@given(held, held)
def test_exactly_the_buckets_with_a_difference_differ(
    ours: dict[PeerId, tuple[int, bytes]], theirs: dict[PeerId, tuple[int, bytes]]
) -> None:
    merged = {**theirs, **dict(list(ours.items())[::2])}
    unequal = set(entries_of(ours)) ^ set(entries_of(merged))
    found = differing(bucket_digests(entries_of(ours)), bucket_digests(entries_of(merged)))
    assert found == {bucket_of(author) for author, _, _ in unequal}
