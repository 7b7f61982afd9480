"""Tables in memory answer as tables in SQLite do."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from p2p.record import HANDED_OVER
from p2p.sqlite_tables import SqliteTables
from p2p.tables import MemoryTables, Proof, Row

AUTHORS = st.sampled_from([bytes([n]) * 32 for n in range(4)])
WIRES = st.binary(min_size=1, max_size=6)


class BothTables(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.sqlite, self.memory = SqliteTables(":memory:"), MemoryTables()
        self.place = 0

    def teardown(self) -> None:
        self.sqlite.close()
        self.memory.close()

    @rule(author=AUTHORS, version=st.sampled_from([1, 2, HANDED_OVER]), wire=WIRES)
    def put(self, author: bytes, version: int, wire: bytes) -> None:
        self.place += 1
        for tables in (self.sqlite, self.memory):
            with tables.transaction():
                tables.put(Row(author, version, wire[:1], wire, self.place))

    @rule(author=AUTHORS)
    def drop(self, author: bytes) -> None:
        for tables in (self.sqlite, self.memory):
            with tables.transaction():
                tables.drop(author)

    @rule(author=AUTHORS, first=WIRES, second=WIRES)
    def convict(self, author: bytes, first: bytes, second: bytes) -> None:
        if self.memory.proof(author) is None:  # the store convicts once
            for tables in (self.sqlite, self.memory):
                with tables.transaction():
                    tables.put_proof(Proof(author, 1, first, second))

    @rule(author=AUTHORS)
    def forget_proof(self, author: bytes) -> None:
        for tables in (self.sqlite, self.memory):
            with tables.transaction():
                tables.drop_proof(author)

    @rule(version=st.integers(0, 1 << 40))
    def keep(self, version: int) -> None:
        for tables in (self.sqlite, self.memory):
            with tables.transaction():
                tables.set_own_version(version)

    @rule(author=AUTHORS, wire=WIRES)
    def fail(self, author: bytes, wire: bytes) -> None:
        """What a transaction that fails has changed in SQLite is undone; the store asks `can_fail` for that."""
        with suppress(ZeroDivisionError), self.sqlite.transaction():
            self.sqlite.put(Row(author, 1, wire, wire, self.place + 1))
            raise ZeroDivisionError
        assert self.sqlite.can_fail
        assert not self.memory.can_fail

    @invariant()
    def agree(self) -> None:
        one, other = self.sqlite, self.memory
        assert list(one.rows()) == list(other.rows())
        assert list(one.proofs()) == list(other.proofs())
        assert one.wires() == other.wires()
        assert one.own_version() == other.own_version()
        for author in [bytes([n]) * 32 for n in range(5)]:
            assert one.wire(author) == other.wire(author)
            assert one.proof(author) == other.proof(author)


TestBothTables = BothTables.TestCase


@given(st.lists(st.tuples(AUTHORS, WIRES), max_size=8), st.lists(WIRES, max_size=40))
def test_both_find_the_same_keys(rows: list[tuple[bytes, bytes]], keys: list[bytes]) -> None:
    found = []
    for tables in (SqliteTables(":memory:"), MemoryTables()):
        with tables.transaction():
            for place, (author, wire) in enumerate(rows):
                tables.put(Row(author, 1, wire, wire, place))
        found.append(sorted(tables.wires_with(keys)))
        tables.close()
    # The same bytes stored for two authors are found once or twice; a record names its author, so that does not occur.
    assert set(found[0]) == set(found[1])
