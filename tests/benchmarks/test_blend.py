"""The benchmark of the blend, on a made folder: who is hidden from whom, what is learned, and the whole way."""

from __future__ import annotations

import csv
import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks import blend as command
from benchmarks.attacks import is_attacker
from benchmarks.blend_attack import SYBIL_SHARE, attacked_world
from benchmarks.blend_fit import Candidates, fit
from benchmarks.blend_friends import friends_of_friends, walk, world_of
from benchmarks.blend_lists import Lists, kept
from benchmarks.blend_measures import compared, gains
from benchmarks.blend_people import CLASSES, REGULAR, Case, People, folds_of, load_people, make_cases, write_events
from sdk.blend_weights import BlendWeights
from sdk.blending import peer_share
from server_training.models.config import ModelConfig
from server_training.run_config import ItemsConfig, RunConfig
from server_training.training.config import TrainConfig

TINY = RunConfig(
    items=ItemsConfig(vectors="use", neighbours=3),
    model=ModelConfig(levels=2, codebook_size=16, history_length=12, width=16, layers=1, heads=2, own_features=4),
    train=TrainConfig(epochs=2, batch_size=16, learning_rate=1e-2, openings=0.2),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two circles of friends who share their taste, in HetRec's files."""
    made = tmp_path_factory.mktemp("data") / "hetrec-lastfm"
    made.mkdir()
    rng = np.random.default_rng(1)
    plays, friends, tags = [], [], []
    for user in range(2, 62):
        circle = user % 2
        artists = rng.permutation(40)[:14] + 100 + 40 * circle
        plays += [f"{user}\t{artist}\t{rng.integers(1, 900)}" for artist in artists]
        plays.append(f"{user}\t{1000 + user}\t5")  # heard by nobody else
        friends += [f"{user}\t{other}" for other in range(2, 62) if other % 2 == circle and abs(other - user) in (2, 4)]
        tags.append(f"{user}\t{artists[0]}\t1\t{1 + user % 28}\t3\t2009")
    (made / "user_artists.dat").write_text("\n".join(["userID\tartistID\tweight", *plays]) + "\n")
    (made / "user_friends.dat").write_text("\n".join(friends) + "\n")
    header = "userID\tartistID\ttagID\tday\tmonth\tyear"
    (made / "user_taggedartists_full.dat").write_text("\n".join([header, *tags]) + "\n")
    return made


@pytest.fixture(scope="module")
def people(folder: Path) -> People:
    return load_people(folder)


@pytest.fixture(scope="module")
def cases(people: People) -> list[Case]:
    return make_cases(people, 0)


def test_every_class_knows_what_the_one_before_it_knows_and_wants_the_rest(people, cases) -> None:
    for key in people.persons:
        mine = [case for case in cases if case.person == key]
        assert [case.kind for case in mine] == list(CLASSES)
        for fewer, more in pairwise(mine):
            assert set(fewer.known) <= set(more.known)
        for case in mine:
            known = set(people.persons[key].artists[case.known].tolist())
            assert known.isdisjoint(case.wanted.tolist())
            assert known | set(case.wanted.tolist()) == set(people.persons[key].artists.tolist())
            assert len(case.known) == (11 if case.kind == REGULAR else case.kind)


def test_an_artist_with_one_listener_is_nobodys_and_some_of_them_are_pushed(people) -> None:
    assert len(people.catalog) == 80 + len(people.spam)
    heard = {artist for person in people.persons.values() for artist in person.artists.tolist()}
    assert heard.isdisjoint(people.spam)


def test_the_server_learns_nothing_from_strangers(people, cases, tmp_path) -> None:
    folds = folds_of(cases, 3, 0)
    assert abs(len(folds) - 3 * sum(number == 0 for number in folds.values())) < 3
    strangers = {key for key, number in folds.items() if number == 0}
    with write_events(people, strangers, tmp_path).open() as file:
        written = {int(row["user"]) for row in csv.DictReader(file)}
    assert written == set(people.persons) - strangers


def test_a_walk_sees_of_its_owner_only_what_is_known_and_of_friends_all(people, cases) -> None:
    world = world_of(people, 0)
    before = {author: dict(items) for author, (_, items) in world.items()}
    some = [case for case in cases if case.person in (2, 3)]
    for case, found in walk(people, world, some, 30):
        person = people.persons[case.person]
        assert set(found.items.tolist()).isdisjoint(person.artists[case.known].tolist())
        assert found.n_peers > 0
        assert found.n_hits > 0
        assert (np.diff(found.scores) <= 0).all()
        # Everything comes from the circle; nobody in the other one can be reached.
        assert all((int(people.catalog[item]) - 100) // 40 == case.person % 2 for item in found.items)
        counted = friends_of_friends(people, world, case, 10)
        assert set(counted.tolist()).isdisjoint(person.artists[case.known].tolist())
    assert {author: dict(items) for author, (_, items) in world.items()} == before


def test_sybils_are_the_stated_share_of_all_identities(people) -> None:
    world = attacked_world(people, 0)
    hostile = sum(is_attacker(author) for author in world)
    assert hostile / len(world) == pytest.approx(SYBIL_SHARE, abs=0.01)
    fooled = [
        author for author, (trust, _) in world.items() if not is_attacker(author) and any(map(is_attacker, trust))
    ]
    assert len(fooled) == 8


def made_candidates(seed: int) -> Candidates:
    """What people want follows friends without events, and the model with many."""
    rng = np.random.default_rng(seed)
    n, width = 600, 30
    events = rng.choice([0.0, 1.0, 5.0, 40.0], size=(n, 1))
    log_prob, log_hit = rng.normal(-4, 1, (n, width)), rng.normal(-4, 1, (n, width))
    model_matters = events / (events + 3)
    odds = 2.0 * (model_matters * (log_prob + 4) + (1 - model_matters) * (log_hit + 4)) - 1.5
    wanted = rng.random((n, width)) < 1 / (1 + np.exp(-odds))
    return Candidates(log_prob, log_hit, wanted, np.log1p(events), np.full((n, 1), 2.0), np.full((n, 1), 7.0))


def test_what_is_learned_leans_on_friends_first_and_on_the_model_later() -> None:
    weights = fit(made_candidates(0), {"data": "made"})
    few, many = (float(peer_share(events, 6, 1000, weights.share)) for events in (0, 40))
    assert few > 0.6
    assert many < 0.4
    assert weights.model.slope > 0
    assert weights.peers.slope > 0
    assert fit(made_candidates(0), {}) == weights
    assert BlendWeights.from_json(weights.to_json()) == weights


def test_a_list_that_misleads_is_flat_and_never_upside_down() -> None:
    made = made_candidates(1)
    upside_down = Candidates(made.log_prob, -8 - made.log_hit, made.wanted, made.events, made.peers, made.hits)
    assert fit(upside_down, {}).peers.slope == 0.0


def test_gains_by_hand() -> None:
    case = Case(1, 0, np.array([], np.int64), np.array([4, 7]))
    found = gains([np.array([7, 1, 4]), np.array([1, 2]), np.array([], np.int64)], [case] * 3)
    ideal = 1 + 1 / np.log2(3)
    assert found.tolist() == [[1.0, pytest.approx((1 + 1 / np.log2(4)) / ideal)], [0.0, 0.0], [0.0, 0.0]]


def test_the_best_part_is_the_better_of_the_parts_only() -> None:
    cases = [Case(key, 0, np.array([], np.int64), np.array([1])) for key in range(50)]
    level = {name: np.full((50, 2), value) for name, value in (("a", 0.2), ("b", 0.3), ("c", 0.9), ("ours", 0.4))}
    row = compared(level, cases, "ours", ("a", "b"), 0)[0]
    assert (row.best_part, row.gap, row.low, row.high) == ("b", *[pytest.approx(0.1)] * 3)


def test_lists_are_made_once(tmp_path) -> None:
    made = Lists.of([(np.array([3, 1]), np.array([-0.5, -1.0]), 2, 9), (np.array([], np.int64), np.array([]), 0, 0)], 4)
    first = kept(tmp_path, {"what": "x", "seed": 0}, lambda: made)
    second = kept(tmp_path, {"what": "x", "seed": 0}, lambda: pytest.fail("made again"))
    for lists in (first, second):
        assert lists.row(0)[0].tolist() == [3, 1]
        assert lists.row(0, 1)[1].tolist() == [-0.5]
        assert lists.row(1)[0].tolist() == []
        assert (lists.n_peers.tolist(), lists.n_hits.tolist()) == ([2, 0], [9, 0])
    assert kept(tmp_path, {"what": "x", "seed": 1}, lambda: made.some([1])).n_peers.tolist() == [0]


@pytest.mark.slow
def test_from_the_data_to_tables_and_weights(folder, tmp_path, monkeypatch, capsys) -> None:
    out, weights = tmp_path / "out", tmp_path / "weights.json"
    monkeypatch.setattr(command, "config_of", lambda epochs: TINY)
    arguments = ["x", "--data", str(folder), "--out", str(out), "--attacked", "4", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--fit", str(weights)])
    command.main()
    said = capsys.readouterr().out
    for told in ("Recall@10", "NDCG@10", "regular", "5 events", "item-kNN", "under attack", "vanilla SALSA"):
        assert told in said
    found = json.loads((out / "results.json").read_text())
    assert {(row["kind"], row["measure"]) for row in found["rows"]} == {
        (kind, measure) for kind in CLASSES for measure in ("Recall@10", "NDCG@10")
    }
    assert all(0 <= value <= 1 for row in found["rows"] for value in row["means"].values())
    assert BlendWeights.load(weights).learned_from["people"] == found["asked"] == 20
    # Again, from what was kept: nothing is trained, asked or walked twice, and the figures are the same.
    monkeypatch.setattr("benchmarks.blend_models.train_run", None)
    monkeypatch.setattr("benchmarks.blend_models.export_run", None)
    monkeypatch.setattr("benchmarks.blend.propose", None)
    monkeypatch.setattr(sys, "argv", [*arguments, "--json"])
    command.main()
    assert json.loads(capsys.readouterr().out)["rows"] == found["rows"]


def test_without_the_data_it_says_where_to_get_it(monkeypatch) -> None:
    monkeypatch.delenv("MERITREC_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit, match="--data"):
        command.main()
