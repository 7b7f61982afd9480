"""What a device told, tells and will tell one community: exact after restarts and crashes, and forgotten on demand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from p2p import AdjacencyRecord, Identity, PeerId, TrustEdge, item_key
from sdk.errors import Closed, DeviceFolderInvalid, DiskFull, InvalidInput, StoreCorrupted
from sdk.item_opinion import DAY_S, ItemOpinion
from sdk.publication import Publication, Shared, Why
from sdk.publication_log import PUBLICATIONS_FILE, PublicationLog
from sdk.publisher import Private, Publisher, shared_vouches
from sdk.randomised_response import Answer
from sdk.selection import OwnItems
from sdk.sharing import SharingLevel, SharingPolicy
from sdk.store import BLOCKED, Opinion
from tests.sdk.test_selection import CATALOG, ITEMS, opinion

DEVICE = Identity.from_seed(bytes(range(32)))
HIDING = SharingPolicy(level=SharingLevel.ITEMS, epsilon=1.0, made_up=30)


class Desk:
    """A publisher with a record store of one record, and a clock that the test turns."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.day, self.record = folder, 20_000, None
        self.community, self.device, self.default = "", DEVICE, SharingPolicy.PRIVATE
        self.opinions: list[ItemOpinion] = []
        self.peers: list[Opinion] = []
        self.open()

    record: AdjacencyRecord | None

    def open(self) -> None:
        self.publisher = Publisher(
            self.folder,
            self.device,
            self.community,
            CATALOG,
            self.default,
            lambda: self.record,
            lambda: self.day * DAY_S + 7_200.5,
        )

    def reopen(self) -> None:
        self.publisher.close()
        self.open()

    @property
    def private(self) -> Private:
        return Private(OwnItems(self.opinions, [o.item for o in self.opinions]), self.peers)

    def publish(self, *, crash: bool = False) -> Shared:
        _, content = self.publisher.next(self.private)
        items, vouches = content.edges
        version = 1 if self.record is None else self.record.version + 1
        author = self.device.pseudonym(self.community).peer_id
        self.record = AdjacencyRecord(author, version, self.day * DAY_S, vouches, items)
        if not crash:
            self.publisher.note(self.record, content)
        return content

    def report(self) -> Publication:
        return self.publisher.report(self.private)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.publisher.close()


def told(content: Shared) -> list[str | None]:
    return sorted(str(shared.item) for shared in content.items)


def test_what_was_published_is_known_to_the_version_and_day_after_a_restart(desk: Desk) -> None:
    desk.opinions = [opinion("i01"), opinion("i02")]
    desk.publisher.choose(SharingPolicy.ITEMS)
    assert told(desk.report().would_publish) == ["i01", "i02"]
    assert desk.report().published.is_empty
    desk.publish()
    desk.day += 3
    desk.opinions = [opinion("i02"), opinion("i03")]
    desk.publish()
    desk.reopen()
    report = desk.report()
    assert told(report.published) == ["i02", "i03"]
    assert (report.published.version, report.published.day) == (2, 20_003)
    assert [(e.version, e.day, e.items) for e in report.editions] == [(2, 20_003, 2), (1, 20_000, 2)]
    assert report.ever_told == ("i01",)
    assert not report.pending
    assert json.loads(json.dumps(report.as_json()))["published"]["items"][0]["key"] == min(
        item_key("n", i).hex() for i in ("i02", "i03")
    )


def test_a_crash_between_publishing_and_noting_loses_nothing(desk: Desk) -> None:
    desk.opinions = [opinion("i01")]
    desk.publisher.choose(SharingPolicy.ITEMS)
    desk.publish(crash=True)
    desk.reopen()
    assert told(desk.report().published) == ["i01"]
    assert [e.version for e in desk.report().editions] == [1]
    assert len(desk.report().editions) == 1  # noted once, however often one looks


def test_answers_survive_restarts_rotations_and_looking(desk: Desk) -> None:
    desk.opinions = [opinion(item) for item in ITEMS[:20]]
    desk.publisher.choose(HIDING)
    preview = desk.report()
    assert desk.report() == preview
    published = desk.publish()
    assert told(published) == told(preview.would_publish)
    desk.opinions = [opinion(item) for item in ITEMS[20:40]]  # what was answered stays answered
    assert told(desk.publish()) == told(published)
    desk.reopen()
    assert told(desk.publish()) == told(published)
    desk.device, desk.record = Identity.from_seed(bytes(32)), None  # a new key
    desk.reopen()
    assert told(desk.publish()) == told(published)
    assert desk.report().epsilon_spent == 1.0


def test_a_lost_log_gives_the_same_answers_as_long_as_the_key_is_the_same(desk: Desk) -> None:
    desk.opinions = [opinion(item) for item in ITEMS[:20]]
    desk.publisher.choose(HIDING)
    first = told(desk.publish())
    desk.publisher.close()
    (desk.folder / PUBLICATIONS_FILE).unlink()
    desk.open()
    desk.publisher.choose(HIDING)
    assert told(desk.publish()) == first


def test_in_each_community_answers_are_others_under_another_key(desk: Desk, tmp_path: Path) -> None:
    desk.opinions = [opinion(item) for item in ITEMS[:20]]
    told_by: dict[str, list[str | None]] = {}
    peers = set()
    for community in ("", "a", "b"):
        folder = tmp_path / f"of {community}"
        folder.mkdir()
        desk.publisher.close()
        desk.folder, desk.community, desk.record = folder, community, None
        desk.open()
        desk.publisher.choose(HIDING)
        told_by[community] = told(desk.publish())
        peers.add(desk.report().peer)
    assert len(peers) == 3
    assert len({tuple(items) for items in told_by.values()}) == 3


def test_a_forgotten_item_is_out_at_the_next_publication_and_leaves_no_trace(desk: Desk) -> None:
    desk.opinions = [opinion("i01"), opinion("i02")]
    desk.publisher.choose(SharingPolicy.ITEMS)
    desk.publish()
    desk.opinions = [opinion("i02")]
    assert desk.publisher.forget("i01") is True
    assert desk.publisher.forget("i55") is False
    report = desk.report()
    assert len(report.published.items) == 2  # it is still out there, and that is said
    assert report.pending
    desk.publish()
    assert told(desk.report().published) == ["i02"]
    assert desk.report().ever_told == ()
    desk.publisher.close()
    raw = (desk.folder / PUBLICATIONS_FILE).read_bytes()
    assert item_key("n", "i02") in raw
    assert item_key("n", "i01") not in raw
    desk.open()


def test_a_forgotten_item_is_not_told_again_by_its_answer(desk: Desk) -> None:
    desk.opinions = [opinion(item) for item in ITEMS[:40]]
    desk.publisher.choose(HIDING)
    item = next(s.item for s in desk.publish().items if not s.made_up)
    assert item is not None
    assert desk.publisher.forget(item)
    assert item not in told(desk.publish())
    desk.day += 364
    assert item not in told(desk.publish())


def test_to_forget_everything_empties_the_record_and_stays_private(desk: Desk) -> None:
    desk.opinions = [opinion("i01"), opinion("i02")]
    desk.default = SharingPolicy.ITEMS
    desk.reopen()
    desk.publish()
    desk.publisher.forget_everything()
    desk.reopen()
    assert desk.publisher.policy == SharingPolicy.PRIVATE
    assert desk.publish().is_empty
    assert desk.report().ever_told == ()


def test_a_choice_outlasts_restarts_and_beats_the_default(desk: Desk) -> None:
    desk.default = SharingPolicy.NETWORK
    desk.reopen()
    assert desk.publisher.policy == SharingPolicy.NETWORK
    desk.publisher.choose(HIDING)
    desk.reopen()
    assert desk.publisher.policy == HIDING
    with pytest.raises(InvalidInput, match="category"):
        desk.publisher.choose(SharingPolicy(deny_categories=frozenset({"nonsense"})))
    assert desk.publisher.policy == HIDING


def test_vouches_are_told_strongest_first_and_blocks_never(desk: Desk) -> None:
    said = [Opinion(bytes([n]) * 32, 1, n) for n in range(1, 41)]
    said += [Opinion(b"s" * 32, 3, 0), Opinion(b"x" * 32, BLOCKED, 99)]
    edges = shared_vouches(SharingPolicy.NETWORK, said)
    assert {edge.peer[0] for edge in edges} == {ord("s"), *range(10, 41)}
    assert list(edges) == sorted(edges)
    few = SharingPolicy(level=SharingLevel.NETWORK, max_vouches=1)
    assert shared_vouches(few, said) == (TrustEdge(PeerId(b"s" * 32), 3),)
    desk.peers = said
    desk.publisher.choose(SharingPolicy.ITEMS)
    assert shared_vouches(SharingPolicy.ITEMS, said) == ()
    why = {held.peer: held.why for held in desk.report().withheld}
    assert why[PeerId(b"x" * 32)] is Why.BLOCK
    assert why[PeerId(b"s" * 32)] is Why.NO_VOUCHES
    desk.publisher.choose(SharingPolicy.NETWORK)
    why = {held.peer: held.why for held in desk.report().withheld}
    assert PeerId(b"s" * 32) not in why
    assert why[PeerId(bytes([1]) * 32)] is Why.NO_ROOM


# -- the file --------------------------------------------------------------------------------------


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=9")
    db.close()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:700])


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 8_192)


def _other_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE setting")
    db.close()


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (_newer, DeviceFolderInvalid),
        (_cut, StoreCorrupted),
        (_garbage, StoreCorrupted),
        (_other_tables, StoreCorrupted),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception]
) -> None:
    path = tmp_path / "log.db"
    PublicationLog(path, b"s" * 32).close()
    damage(path)
    before = path.read_bytes()
    with pytest.raises(error, match=r"log\.db"):
        PublicationLog(path, b"s" * 32)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["{", "[]", '{"level": "loud"}'])
def test_a_damaged_choice_is_no_choice_to_share(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.db"
    log = PublicationLog(path, b"s" * 32)
    log._set("policy", text)
    with pytest.raises(StoreCorrupted):
        _ = log.choice
    log.close()


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("INSERT INTO answer VALUES (x'00', 1, 'monday', 0, 1.0)", PublicationLog.answers),
        ("INSERT INTO told VALUES ('text', 'i', 0, 1, 0)", PublicationLog.told),
        ("INSERT INTO told VALUES (x'00', x'00', 0, 1, 0)", PublicationLog.told),
        ("INSERT INTO edition VALUES (x'00', 1, 'x', 1, 1)", PublicationLog.editions),
        ("INSERT INTO setting VALUES ('began', 'x')", lambda log: log.began),
        ("UPDATE setting SET value = 7 WHERE name = 'secret'", lambda log: log.secret),
    ],
)
def test_rows_that_nobody_stored_are_damage(
    tmp_path: Path, statement: str, read: Callable[[PublicationLog], object]
) -> None:
    log = PublicationLog(tmp_path / "log.db", b"s" * 32)
    with log._database() as db:
        db.execute(statement)
    with pytest.raises(StoreCorrupted, match=r"log\.db"):
        read(log)
    log.close()


def test_a_full_disk_loses_no_answer_and_says_so(tmp_path: Path) -> None:
    log = PublicationLog(tmp_path / "log.db", b"s" * 32)
    log.add_answers({b"k" * 16: Answer(told=True, day=1, turn=0, spent=1.0)}, 1)
    with log._database() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={pages}")
    many = {number.to_bytes(16, "big"): Answer(told=True, day=2, turn=0, spent=1.0) for number in range(2_000)}
    with pytest.raises(DiskFull, match="free some"):
        log.add_answers(many, 2)
    assert list(log.answers()) == [b"k" * 16]
    log.close()


def test_a_closed_log_says_so(tmp_path: Path) -> None:
    log = PublicationLog(tmp_path / "log.db", b"s" * 32)
    log.close()
    log.close()
    with pytest.raises(Closed):
        log.told()
