"""The store against a model in memory: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from device_runtime import Action
from sdk.actions import ACTION_NUMBERS, IMPRESSION, PLAY
from sdk.store import BLOCKED, EventStore, Opinion, StoredEvent

LEVELS = {Action.VIEW: 1, PLAY: 1, Action.LIKE: 2, Action.SAVE: 2, Action.BUY: 3}
items = st.sampled_from([f"item-{n}" for n in range(6)] + ["ünïcode", "'; DROP TABLE event"])
events = st.builds(StoredEvent, items, st.sampled_from(sorted(ACTION_NUMBERS)), st.integers(0, 400_000))
peers = st.sampled_from([bytes([n]) * 32 for n in range(3)])
communities = st.sampled_from(["", "chess"])


def opinions_of(history: list[StoredEvent]) -> list[tuple[str, int, int, frozenset[int]]]:
    """Replay a history in time order, which is what the store must not do."""
    found: dict[str, tuple[int, int, frozenset[int]]] = {}
    for event in history:
        if event.action == IMPRESSION:
            continue
        if event.action in (Action.DISLIKE, Action.SKIP):
            found.pop(event.item, None)
            continue
        level, _, actions = found.get(event.item, (0, 0, frozenset()))
        raised = LEVELS[event.action] if level == 0 else min(3, max(level + 1, LEVELS[event.action]))
        found[event.item] = (raised, event.at // 86_400, actions | {event.action})
    rows = [(item, *state) for item, state in found.items()]
    return sorted(rows, key=lambda row: (-row[1], -row[2], row[0]))


class StoreStates(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = EventStore(self.folder / "events.db")
        self.events: list[StoredEvent] = []
        self.opinions: dict[tuple[bytes, str], Opinion] = {}
        self.blocked: set[str] = set()
        self.newest = 0

    @rule(batch=st.lists(events, max_size=6), newest=st.none() | st.integers(0, 100))
    def add(self, batch: list[StoredEvent], newest: int | None) -> None:
        self.store.add_events(batch, newest=newest)
        self.events += batch
        self.newest = self.newest if newest is None else newest

    @rule(item=items)
    def forget_item(self, item: str) -> None:
        gone = [event for event in self.events if event.item == item]
        assert self.store.forget_item(item) == len(gone)
        self.events = [event for event in self.events if event.item != item]
        self.blocked.discard(item)

    @rule()
    def forget_everything(self) -> None:
        counts = (len(self.events), len(self.opinions), len(self.blocked))
        assert self.store.forget_everything() == counts
        self.events, self.opinions, self.blocked, self.newest = [], {}, set(), 0

    @rule(peer=peers, level=st.sampled_from([BLOCKED, 1, 2, 3]), at=st.integers(0, 99), community=communities)
    def say(self, peer: bytes, level: int, at: int, community: str) -> None:
        opinion = Opinion(peer, level, at, community)
        self.store.set_opinion(opinion)
        self.opinions[peer, community] = opinion

    @rule(peer=peers, community=communities)
    def take_back(self, peer: bytes, community: str) -> None:
        had = self.opinions.pop((peer, community), None) is not None
        assert self.store.remove_opinion(peer, community) is had

    @rule(item=items)
    def block(self, item: str) -> None:
        self.store.block_item(item, 5)
        self.blocked.add(item)

    @rule(item=items)
    def unblock(self, item: str) -> None:
        assert self.store.unblock_item(item) is (item in self.blocked)
        self.blocked.discard(item)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = EventStore(self.folder / "events.db")

    @invariant()
    def both_say_the_same(self) -> None:
        store, ordered = self.store, sorted(self.events, key=lambda event: event.at)
        assert store.events() == ordered
        assert store.events(last=3) == ordered[-3:]
        read = [event for event in ordered if event.action != IMPRESSION]
        assert (store.count_events(), store.count_read_events()) == (len(ordered), len(read))
        for until in (0, 200_000, 400_000):
            known = [event for event in read if event.at <= until]
            assert store.read_events(3, until=until) == known[-3:]
            assert store.read_events(3, until=until, skip=2) == known[:-2][-3:]
        assert store.items() == {event.item for event in ordered}
        assert set(store.seen_items()) == {event.item for event in read}
        assert set(store.seen_items(shown=True)) == {event.item for event in ordered}
        expected = opinions_of(ordered)
        assert [(o.item, o.level, o.day, o.actions) for o in store.item_opinions()] == expected
        assert [o.item for o in store.item_opinions(least=2, limit=2)] == [r[0] for r in expected if r[1] >= 2][:2]
        assert store.blocked_items() == sorted(self.blocked)
        assert store.newest == self.newest
        for community in ("", "chess"):
            said = [opinion for key, opinion in self.opinions.items() if key[1] == community]
            assert store.opinions(community) == sorted(said, key=lambda opinion: opinion.peer)
        assert len(store.opinions(None)) == len(self.opinions)

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)


TestStoreStates = StoreStates.TestCase
TestStoreStates.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
